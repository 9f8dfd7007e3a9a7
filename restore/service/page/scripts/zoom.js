/** Arithmetic of zooming. A scale of 1 shows one pixel of the photo on one pixel of the screen. */

export const MAX_SCALE = 8;
const STEP = 1.4;

/** Return the scale at which a photo of some size fits into a space, at most `largest`. */
export function fitScale(width, height, spaceWidth, spaceHeight, largest) {
  return Math.min(largest, spaceWidth / width, spaceHeight / height);
}

/** Return a scale between that of the whole photo (or 1, if that is less) and the largest one. */
export function clampScale(scale, fit) {
  return Math.min(MAX_SCALE, Math.max(Math.min(fit, 1), scale));
}

/** Return the next larger (direction 1) or smaller (-1) scale. */
export function nextScale(scale, direction) {
  return direction > 0 ? scale * STEP : scale / STEP;
}

/**
 * Return the position of the divider, in percent of the photo, that keeps it in the visible part.
 *
 * @param {number} value position now. @param {number} start, end visible part in percent.
 */
export function visibleDivider(value, start, end) {
  const margin = (end - start) * 0.08;
  return Math.min(end - margin, Math.max(start + margin, value));
}
