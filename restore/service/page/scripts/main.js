/** Starts the page: connects to the service, asks for a key if it needs one. */

import { Api } from "./api.js";
import { byId } from "./dom.js";
import { listenForFiles } from "./drop_zone.js";
import { KeyDialog, key } from "./key.js";
import { Page } from "./page.js";
import { errorBox } from "./problems.js";

let page = null;
const early = [];
const keyDialog = new KeyDialog(() => (page ? page.recent.render() : start()));
const api = new Api(key, () => keyDialog.ask());
const NO_KEY = "This service needs an API key. Photos are added as soon as you have entered it.";

let connecting = null;

/** Connect to the service, unless that is under way. */
function start() {
  connecting ??= connect().finally(() => {
    connecting = null;
  });
  return connecting;
}

async function connect() {
  const problem = byId("page-problem");
  problem.replaceChildren();
  try {
    const model = await api.model();
    page = new Page(api, model.latest_version);
  } catch (error) {
    const box =
      error.status === 401
        ? errorBox(new Error(NO_KEY), start, "Enter the key")
        : errorBox(error, start);
    problem.replaceChildren(box);
    return;
  }
  early.splice(0).forEach((files) => page.addFiles(files));
  openFromAddress();
}

/** `/#ID` shows the job with this id, as `urls.web` of a prediction. */
function openFromAddress() {
  const id = location.hash.slice(1);
  if (!/^[a-z0-9]{20,}$/.test(id) || !page) return;
  history.replaceState(null, "", location.pathname);
  page.open(id);
}

listenForFiles((files) => {
  if (page) return page.addFiles(files);
  early.push(files); // added when the service is reached; a missing key is asked for again
  return start();
});
addEventListener("hashchange", openFromAddress);
start();
