/** The progress of a running job. */

import { button, element } from "./dom.js";
import { describeState, duration, progressOf } from "./progress.js";

/** Shows one job; `update` is called with each state of its prediction. */
export class JobView {
  /** @param {string} name of the photo. @param {function} onCancel called when the user cancels. */
  constructor(name, onCancel) {
    this.text = element("p", { class: "job-text" });
    this.time = element("span", { class: "job-time" });
    this.bar = element("progress", { "aria-label": `Progress of ${name}` });
    this.cancel = button({
      text: "Cancel",
      symbol: "close",
      kind: "small",
      "aria-label": `Cancel ${name}`,
      onclick: () => {
        this.cancel.disabled = true;
        this.text.textContent = "Cancelling…";
        this.cancelling = true;
        onCancel();
      },
    });
    const line = element("div", { class: "job-line" }, this.text, this.time);
    this.node = element("div", { class: "job" }, line, this.bar, this.cancel);
    this.timer = setInterval(() => this.#showTime(), 1000);
    this.begin = null;
  }

  /** Show a state; null means that the photo is on its way to the service. */
  update(prediction, reached) {
    if (this.cancelling) return;
    this.text.textContent = this.#textFor(prediction, reached);
    const progress = prediction?.status === "processing" ? progressOf(prediction.logs) : null;
    if (progress?.total > 1) {
      this.bar.max = progress.total;
      this.bar.value = progress.done;
    } else {
      this.bar.removeAttribute("value"); // unknown progress is shown as such
    }
    if (prediction?.status === "processing" && !this.begin) this.begin = Date.now();
    this.#showTime();
  }

  /** Stop the clock. */
  close() {
    clearInterval(this.timer);
  }

  #textFor(prediction, reached) {
    if (!reached) return "The service does not respond. Trying again…";
    return prediction ? describeState(prediction) : "Sending the photo…";
  }

  #showTime() {
    this.time.textContent = this.begin ? duration((Date.now() - this.begin) / 1000) : "";
  }
}
