/** A scrolling area in which a photo is zoomed by wheel, pinch, buttons and keys. */

import { clampScale, fitScale, nextScale } from "./zoom.js";

export class ZoomPane {
  /**
   * @param {HTMLElement} viewport scrolls; may be focused.
   * @param {HTMLElement} content is the photo; its size is set here.
   * @param {{pans: function(PointerEvent): boolean, onChange: function(number),
   *     largestFit: number}} options `pans` tells whether a mouse that was pressed here
   *     moves the photo; `largestFit` is the largest scale at which the whole photo is shown.
   */
  constructor(viewport, content, { pans, onChange, largestFit }) {
    this.largestFit = largestFit;
    this.viewport = viewport;
    this.content = content;
    this.onChange = onChange;
    this.pinch = null;
    viewport.addEventListener("wheel", (event) => this.#onWheel(event), { passive: false });
    viewport.addEventListener("keydown", (event) => this.#onKey(event));
    viewport.addEventListener("pointerdown", (event) => pans(event) && this.#startPan(event));
    for (const name of ["touchstart", "touchmove", "touchend"]) {
      viewport.addEventListener(name, (event) => this.#onTouch(event), { passive: false });
    }
  }

  /** Show a photo of a size in pixels as a whole. */
  setSize(width, height) {
    this.width = width / devicePixelRatio;
    this.height = height / devicePixelRatio;
    this.fit();
  }

  get fitted() {
    const { clientWidth, clientHeight } = this.viewport;
    return fitScale(this.width, this.height, clientWidth, clientHeight, this.largestFit);
  }

  fit() {
    this.zoomTo(this.fitted);
  }

  step(direction) {
    this.zoomTo(nextScale(this.scale, direction));
  }

  /** Zoom so that a point of the window stays where it is; without one, the centre. */
  zoomTo(scale, point = this.#centre()) {
    const before = this.content.getBoundingClientRect();
    const x = before.width ? (point.x - before.left) / before.width : 0.5;
    const y = before.height ? (point.y - before.top) / before.height : 0.5;
    this.scale = clampScale(scale, this.fitted);
    this.content.style.width = `${this.width * this.scale}px`;
    this.content.style.height = `${this.height * this.scale}px`;
    const after = this.content.getBoundingClientRect();
    this.viewport.scrollLeft += after.left + x * after.width - point.x;
    this.viewport.scrollTop += after.top + y * after.height - point.y;
    this.onChange(this.scale);
  }

  #centre() {
    const { left, top, width, height } = this.viewport.getBoundingClientRect();
    return { x: left + width / 2, y: top + height / 2 };
  }

  #onWheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === 0 ? event.deltaY : 30 * event.deltaY;
    const factor = Math.exp(-Math.max(-240, Math.min(240, lines)) / 400);
    this.zoomTo(this.scale * factor, { x: event.clientX, y: event.clientY });
  }

  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const actions = {
      "+": () => this.step(1),
      "=": () => this.step(1),
      "-": () => this.step(-1),
      0: () => this.fit(),
      1: () => this.zoomTo(1),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  #startPan(event) {
    if (event.pointerType === "touch" || event.button !== 0) return; // touch scrolls by itself
    const { viewport } = this;
    viewport.setPointerCapture(event.pointerId);
    viewport.classList.add("panning");
    const move = (moved) => {
      viewport.scrollLeft -= moved.movementX;
      viewport.scrollTop -= moved.movementY;
    };
    const stop = () => {
      viewport.classList.remove("panning");
      viewport.removeEventListener("pointermove", move);
    };
    viewport.addEventListener("pointermove", move);
    viewport.addEventListener("lostpointercapture", stop, { once: true });
  }

  /** Two fingers zoom and move; one finger scrolls or does what the content does with it. */
  #onTouch(event) {
    if (event.touches.length !== 2) {
      this.pinch = null;
      return;
    }
    event.preventDefault();
    const [a, b] = event.touches;
    const now = {
      x: (a.clientX + b.clientX) / 2,
      y: (a.clientY + b.clientY) / 2,
      distance: Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY),
    };
    if (this.pinch) {
      this.viewport.scrollLeft -= now.x - this.pinch.x;
      this.viewport.scrollTop -= now.y - this.pinch.y;
      this.zoomTo((this.scale * now.distance) / this.pinch.distance, now);
    }
    this.pinch = now;
  }
}
