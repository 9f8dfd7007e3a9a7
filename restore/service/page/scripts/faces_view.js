/** Faces of a photo as boxes that the user can choose. */

import { button, element } from "./dom.js";
import { withLabels } from "./option_labels.js";

/**
 * Create the boxes over a photo and the line of buttons below it.
 *
 * @param {Photo} photo with faces. @param {function} onChange called after a choice.
 * @returns {{boxes: Element, controls: Element}}
 */
export function facesView(photo, onChange) {
  const count = element("span", { class: "faces-count" });
  const toggles = photo.faces.map((face) => faceButton(photo, face, update));
  function update() {
    for (const [index, toggle] of toggles.entries()) {
      toggle.setAttribute("aria-pressed", String(photo.faces[index].chosen));
    }
    const chosen = photo.faces.filter((face) => face.chosen).length;
    const all = photo.faces.length;
    count.textContent = `${chosen} of ${all} ${all === 1 ? "face" : "faces"} chosen`;
    onChange();
  }
  const chooseAll = (chosen) => () => {
    for (const face of photo.faces) face.chosen = chosen && face.restorable;
    update();
  };
  const controls = element(
    "div",
    { class: "faces-controls" },
    count,
    button({
      text: "All",
      kind: "small",
      "aria-label": "Choose all faces",
      onclick: chooseAll(true),
    }),
    button({
      text: "None",
      kind: "small",
      "aria-label": "Choose no face",
      onclick: chooseAll(false),
    }),
  );
  const boxes = element(
    "div",
    { class: "faces", role: "group", "aria-label": "Faces to restore" },
    ...toggles,
  );
  update();
  return { boxes, controls };
}

/** The number is that of the API: `inspect` and the option `faces` count from 0. */
function faceButton(photo, face, onChange) {
  const toggle = element(
    "button",
    {
      type: "button",
      class: "face",
      "aria-label": `Restore face ${face.index}`,
      disabled: !face.restorable,
      title: face.restorable ? null : `This face cannot be restored: ${withLabels(face.reason)}`,
      onclick: () => {
        face.chosen = !face.chosen;
        onChange();
      },
    },
    element("span", { class: "face-number", text: String(face.index) }),
  );
  const { left, top, width, height } = placeOf(face.box, photo.width, photo.height);
  Object.assign(toggle.style, {
    left: `${left}%`,
    top: `${top}%`,
    width: `${width}%`,
    height: `${height}%`,
  });
  return toggle;
}

/** Return a box, clipped to its photo, in percent of the photo's sides. */
export function placeOf([x0, y0, x1, y1], photoWidth, photoHeight) {
  const clip = (value, side) => (100 * Math.min(side, Math.max(0, value))) / side;
  const [left, top] = [clip(x0, photoWidth), clip(y0, photoHeight)];
  return {
    left,
    top,
    width: clip(x1, photoWidth) - left,
    height: clip(y1, photoHeight) - top,
  };
}
