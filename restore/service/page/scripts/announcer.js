/** Tells screen readers what has changed. */

import { byId } from "./dom.js";

let timer = 0;
let waiting = [];

/** Announce a text; several in a short time become one announcement. */
export function announce(text) {
  if (!waiting.includes(text)) waiting.push(text);
  clearTimeout(timer);
  timer = setTimeout(() => {
    byId("announcements").textContent = waiting.join(". ");
    waiting = [];
  }, 150);
}
