/** The API key of this tab and the dialog that asks for it. */

import { byId } from "./dom.js";

const NAME = "restore-api-key";

/** The key is kept until the tab is closed. */
export const key = {
  get: () => sessionStorage.getItem(NAME) ?? "",
  set: (value) => (value ? sessionStorage.setItem(NAME, value) : sessionStorage.removeItem(NAME)),
};

export class KeyDialog {
  /** @param {function} onChange called after the user has entered or removed a key. */
  constructor(onChange) {
    this.opener = byId("key-open");
    this.opener.hidden = !key.get(); // a service that needs no key shows nothing of keys
    this.dialog = byId("key-dialog");
    this.input = byId("key-input");
    this.message = byId("key-message");
    this.opener.addEventListener("click", () => this.open(""));
    byId("key-cancel").addEventListener("click", () => this.dialog.close());
    byId("key-form").addEventListener("submit", () => {
      key.set(this.input.value.trim());
      onChange();
    });
  }

  /** Show the dialog, with a message that says why. */
  open(message) {
    this.message.textContent = message;
    this.message.hidden = !message;
    if (this.dialog.open) return;
    this.input.value = key.get();
    this.dialog.showModal();
  }

  /** Ask for a key, because the service refused a request. */
  ask() {
    this.opener.hidden = false;
    this.open(
      key.get()
        ? "The service does not accept this key. Check it, or ask the operator for another one."
        : "This service needs an API key. Ask its operator for one.",
    );
  }
}
