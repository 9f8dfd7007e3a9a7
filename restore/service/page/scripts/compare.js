/** Before and after under one slider. */

import "../vendor/img-comparison-slider/index.js";
import { element, icon } from "./dom.js";

const KEY_STEP = 5;

/**
 * Create a slider that shows `before` on its left and `after` on its right.
 *
 * @param {string} before address of the photo. @param {string} after address of the result.
 * @param {{name: string, handleOnly: boolean}} options `handleOnly` leaves all other places of the
 *     photo to whoever moves it.
 */
export function comparison(before, after, { name, handleOnly }) {
  const handle = element("div", { class: "divider-handle", slot: "handle" }, icon("compare"));
  const slider = element(
    "img-comparison-slider",
    {
      role: "slider",
      "aria-label": `Before and after of ${name}`,
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      keyboard: "disabled", // the component's own keys move it while they are held
      handle: String(handleOnly),
    },
    element("img", { slot: "first", src: before, alt: "before", draggable: false }),
    element("img", { slot: "second", src: after, alt: "after", draggable: false }),
    handle,
  );
  const tell = () => {
    const share = Math.round(slider.value);
    slider.setAttribute("aria-valuenow", share);
    slider.setAttribute("aria-valuetext", `${share} % before, ${100 - share} % after`);
  };
  slider.addEventListener("slide", tell);
  slider.addEventListener("keydown", (event) => {
    const value = valueAfterKey(slider.value, event.key);
    if (value === null) return;
    event.preventDefault();
    event.stopPropagation();
    slider.value = value;
    slider.dispatchEvent(new Event("slide"));
  });
  tell();
  return slider;
}

/** Return the position after a key, or null if the key does not move the divider. */
export function valueAfterKey(value, key) {
  const moved = {
    ArrowLeft: value - KEY_STEP,
    ArrowDown: value - KEY_STEP,
    ArrowRight: value + KEY_STEP,
    ArrowUp: value + KEY_STEP,
    PageDown: value - 4 * KEY_STEP,
    PageUp: value + 4 * KEY_STEP,
    Home: 0,
    End: 100,
  }[key];
  return moved === undefined ? null : Math.min(100, Math.max(0, moved));
}
