/** The dialog that shows before and after at full size. */

import { comparison } from "./compare.js";
import { byId, element } from "./dom.js";
import { visibleDivider } from "./zoom.js";
import { ZoomPane } from "./zoom_pane.js";

export class Viewer {
  constructor() {
    this.dialog = byId("viewer");
    this.viewport = byId("viewer-viewport");
    this.content = byId("viewer-content");
    this.scale = byId("viewer-scale");
    this.slider = null;
    this.pane = new ZoomPane(this.viewport, this.content, {
      pans: (event) => !this.#isOnHandle(event),
      onChange: (scale) => this.#onScale(scale),
      largestFit: 1,
    });
    this.viewport.addEventListener("scroll", () => this.#keepDividerVisible());
    byId("viewer-close").addEventListener("click", () => this.dialog.close());
    byId("viewer-in").addEventListener("click", () => this.pane.step(1));
    byId("viewer-out").addEventListener("click", () => this.pane.step(-1));
    byId("viewer-fit").addEventListener("click", () => this.pane.fit());
    byId("viewer-full").addEventListener("click", () => this.pane.zoomTo(1));
    this.dialog.addEventListener("close", () => this.content.replaceChildren());
    addEventListener("resize", () => this.dialog.open && this.pane.zoomTo(this.pane.scale));
  }

  /**
   * Open the dialog.
   *
   * @param {{name: string, before: string|null, after: string}} result addresses of the photos;
   *     without `before` the result is shown alone.
   */
  async show({ name, before, after }) {
    const image = element("img", { src: after, alt: `${name}, restored` });
    await image.decode();
    this.slider = before ? comparison(before, after, { name, handleOnly: true }) : null;
    byId("viewer-title").textContent = name;
    this.content.replaceChildren(this.slider ?? image);
    this.dialog.showModal();
    this.pane.setSize(image.naturalWidth, image.naturalHeight);
    (this.slider ?? this.viewport).focus();
  }

  #onScale(scale) {
    this.scale.textContent = `${Math.round(100 * scale)} %`;
    this.#keepDividerVisible();
  }

  /** Move the divider, and its handle, into the part of the photo that is seen. */
  #keepDividerVisible() {
    if (!this.slider) return;
    const photo = this.content.getBoundingClientRect();
    const window_ = this.viewport.getBoundingClientRect();
    const percent = (x) => Math.min(100, Math.max(0, (100 * (x - photo.left)) / photo.width));
    const [start, end] = [percent(window_.left), percent(window_.right)];
    const value = visibleDivider(this.slider.value, start, end);
    if (Math.abs(value - this.slider.value) > 0.1) this.slider.value = value;
    const top = Math.max(0, window_.top - photo.top);
    const bottom = Math.min(photo.height, window_.bottom - photo.top);
    this.slider.style.setProperty("--handle-position-start", `${(top + bottom) / 2}px`);
  }

  #isOnHandle(event) {
    const handle = this.slider?.querySelector(".divider-handle");
    if (!handle) return false;
    const { left, right, top, bottom } = handle.getBoundingClientRect();
    const { clientX: x, clientY: y } = event;
    return left <= x && x <= right && top <= y && y <= bottom;
  }
}
