/** The dialog in which the user marks areas to fill, with a brush or by typed points. */

import { announce } from "./announcer.js";
import { byId } from "./dom.js";
import { PAINT, drawStrokes, maskOf, maskSize, parsePolygons } from "./strokes.js";
import { ZoomPane } from "./zoom_pane.js";

export class MaskEditor {
  constructor() {
    this.dialog = byId("mask-editor");
    this.canvas = byId("mask-canvas");
    this.image = byId("mask-photo");
    this.size = byId("mask-size");
    this.points = byId("mask-points");
    this.problem = byId("mask-problem");
    const viewport = byId("mask-viewport");
    const options = { pans: () => false, onChange: () => {}, largestFit: 4 };
    this.pane = new ZoomPane(viewport, byId("mask-content"), options);
    this.strokes = [];
    this.#listen();
  }

  /**
   * Let the user mark areas of a photo.
   *
   * @param {Photo} photo one that the browser can show.
   * @returns {Promise<boolean>} whether the photo's areas were changed.
   */
  open(photo) {
    this.photo = photo;
    this.strokes = [...photo.strokes];
    const { width, height, scale } = maskSize(photo.width, photo.height);
    Object.assign(this.canvas, { width, height });
    this.context = this.canvas.getContext("2d");
    this.context.setTransform(scale, 0, 0, scale, 0, 0);
    this.image.src = photo.address;
    this.#setProblem("");
    byId("mask-dimensions").textContent = `The photo has ${photo.width} × ${photo.height} pixels.`;
    this.dialog.returnValue = "";
    this.dialog.showModal();
    this.pane.setSize(photo.width, photo.height);
    this.#redraw();
    return new Promise((resolve) => {
      this.dialog.addEventListener("close", () => resolve(this.#finish()), { once: true });
    });
  }

  async #finish() {
    if (this.dialog.returnValue !== "apply") return false;
    const { width, height } = this.photo;
    const mask = this.strokes.length ? await maskOf(this.strokes, width, height) : null;
    this.photo.setMask(this.strokes, mask);
    return true;
  }

  #listen() {
    this.canvas.addEventListener("pointerdown", (event) => this.#paint(event));
    byId("mask-undo").addEventListener("click", () => this.#undo());
    byId("mask-clear").addEventListener("click", () => this.#change(() => []));
    byId("mask-in").addEventListener("click", () => this.pane.step(1));
    byId("mask-out").addEventListener("click", () => this.pane.step(-1));
    byId("mask-add").addEventListener("click", () => this.#addPolygons());
    byId("mask-apply").addEventListener("click", () => this.dialog.close("apply"));
    byId("mask-cancel").addEventListener("click", () => this.dialog.close(""));
    this.dialog.addEventListener("keydown", (event) => this.#onKey(event));
  }

  #onKey(event) {
    if (event.target === this.points) return;
    if ((event.ctrlKey || event.metaKey) && event.key === "z") {
      event.preventDefault();
      this.#undo();
    } else if (event.key === "[" || event.key === "]") {
      this.size.value = Number(this.size.value) * (event.key === "]" ? 1.25 : 0.8);
    }
  }

  #paint(event) {
    if (event.button !== 0 || !event.isPrimary) return;
    event.preventDefault();
    this.canvas.setPointerCapture(event.pointerId);
    const stroke = { kind: "brush", size: this.#brushPx(), points: [this.#pointOf(event)] };
    this.strokes.push(stroke);
    drawStrokes(this.context, [stroke], PAINT);
    const move = (moved) => {
      if (this.pane.pinch) return;
      const last = stroke.points.at(-1);
      stroke.points.push(this.#pointOf(moved));
      drawStrokes(this.context, [{ ...stroke, points: [last, stroke.points.at(-1)] }], PAINT);
    };
    const stop = () => {
      this.canvas.removeEventListener("pointermove", move);
      // A pinch begins with one finger, which has left a dot.
      if (this.pane.pinch) this.#change((strokes) => strokes.filter((each) => each !== stroke));
      else this.#changed();
    };
    this.canvas.addEventListener("pointermove", move);
    this.canvas.addEventListener("lostpointercapture", stop, { once: true });
  }

  /** The slider gives the brush as a share of the photo's long side. */
  #brushPx() {
    return (Number(this.size.value) / 1000) * Math.max(this.photo.width, this.photo.height);
  }

  #pointOf(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    const x = ((event.clientX - left) / width) * this.photo.width;
    const y = ((event.clientY - top) / height) * this.photo.height;
    return [x, y];
  }

  #addPolygons() {
    try {
      const added = parsePolygons(this.points.value, this.photo.width, this.photo.height);
      this.#change((strokes) => [...strokes, ...added]);
      this.points.value = "";
      this.#setProblem("");
    } catch (error) {
      this.#setProblem(error.message);
    }
  }

  #setProblem(text) {
    this.problem.textContent = text;
    this.problem.hidden = !text;
    this.points.setAttribute("aria-invalid", String(Boolean(text)));
  }

  #undo() {
    this.#change((strokes) => strokes.slice(0, -1));
  }

  #change(change) {
    this.strokes = change(this.strokes);
    this.#redraw();
  }

  #redraw() {
    this.context.clearRect(0, 0, this.photo.width, this.photo.height);
    drawStrokes(this.context, this.strokes, PAINT);
    this.#changed();
  }

  #changed() {
    const count = this.strokes.length;
    byId("mask-undo").disabled = byId("mask-clear").disabled = count === 0;
    const text = count === 1 ? "1 area marked" : `${count} areas marked`;
    byId("mask-count").textContent = text;
    announce(text);
  }
}
