/** Takes photos that the user drops, chooses or pastes. */

import { byId } from "./dom.js";

/** Call `onFiles` with each list of files. */
export function listenForFiles(onFiles) {
  const input = byId("file-input");
  const give = (files) => files?.length && onFiles([...files]);
  byId("choose").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    give(input.files);
    input.value = ""; // the same photo can be chosen again
  });
  addEventListener("paste", (event) => give(event.clipboardData?.files));
  listenForDrops(give);
}

function listenForDrops(give) {
  const zone = byId("drop");
  let depth = 0;
  const setDepth = (value) => {
    depth = value;
    zone.classList.toggle("dragging", depth > 0);
  };
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => hasFiles(event) && setDepth(depth + 1));
  addEventListener("dragleave", (event) => hasFiles(event) && setDepth(Math.max(0, depth - 1)));
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    setDepth(0);
    give(event.dataTransfer.files);
  });
}
