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

async function start() {
  const problem = byId("page-problem");
  problem.replaceChildren();
  try {
    const model = await api.model();
    page = new Page(api, model.latest_version);
  } catch (error) {
    if (error.status !== 401) problem.replaceChildren(errorBox(error, start));
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

listenForFiles((files) => (page ? page.addFiles(files) : early.push(files)));
addEventListener("hashchange", openFromAddress);
start();
