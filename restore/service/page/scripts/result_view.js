/** The result of a job: before and after, download, warnings. */

import { comparison } from "./compare.js";
import { button, element } from "./dom.js";
import { save } from "./download.js";
import { fileKind, resultName } from "./names.js";
import { warningsBox, warningsOf } from "./problems.js";
import { duration } from "./progress.js";
import { taskTitle } from "./tasks.js";

/** A finished job whose results are in memory. */
export class Result {
  /** @param {Photo} photo the photo before. @param {{prediction, blobs}} finished of Job.finish. */
  constructor(photo, { prediction, blobs }) {
    this.photo = photo;
    this.prediction = prediction;
    this.files = blobs.map((blob, index) => ({
      blob,
      name: resultName(photo.name, blob.type, index),
    }));
    this.address = URL.createObjectURL(blobs[0]);
  }

  /** Create the picture: a slider, or the result alone if the browser cannot show the photo. */
  picture() {
    const { name, address, canBeShown } = this.photo;
    if (canBeShown) return comparison(address, this.address, { name, handleOnly: false });
    return element("img", { src: this.address, alt: `${name}, restored`, class: "alone" });
  }

  /**
   * Create the part beside the picture.
   *
   * @param {{onView: function, onAgain: function}} actions
   */
  details({ onView, onAgain }) {
    const [first, ...others] = this.files;
    return element(
      "div",
      { class: "result" },
      element("p", { class: "result-title", text: this.#title() }),
      element("p", { class: "hint", text: this.#facts() }),
      this.photo.canBeShown ? null : element("p", { class: "hint", text: this.#whyAlone() }),
      element(
        "div",
        { class: "buttons" },
        button({
          text: "Download",
          symbol: "download",
          kind: "primary",
          onclick: () => save(first.blob, first.name),
          "aria-label": `Download ${first.name}`,
        }),
        button({
          text: "Full size",
          symbol: "zoom",
          onclick: onView,
          "aria-label": `View ${this.photo.name} at full size`,
        }),
        button({ text: "Change and restore again", symbol: "again", onclick: onAgain }),
      ),
      ...others.map(({ blob, name }) =>
        button({
          text: `Download ${name}`,
          symbol: "download",
          kind: "small",
          onclick: () => save(blob, name),
        }),
      ),
      warningsBox(warningsOf(this.prediction)),
    );
  }

  /** Addresses for the viewer. */
  get view() {
    const { name, address, canBeShown } = this.photo;
    return { name, before: canBeShown ? address : null, after: this.address };
  }

  close() {
    URL.revokeObjectURL(this.address);
  }

  #whyAlone() {
    return `This browser cannot show ${fileKind(this.photo.name)}: only the result is shown.`;
  }

  /** The worst status of the steps; the warnings say why. */
  #title() {
    const [report] = this.prediction.metrics?.photos ?? [];
    if (report?.status === "skipped") {
      return report.steps?.length ? "Restored; a step was skipped" : "Unchanged";
    }
    return report?.status === "reduced" ? "Restored in part" : "Restored";
  }

  #facts() {
    const { metrics, input } = this.prediction;
    const [report] = metrics?.photos ?? [];
    const { width, height } = report?.output ?? {};
    const steps = report?.steps?.map((step) => taskTitle(step.task)) ?? [];
    return [
      steps.length ? steps.join(", ") : taskTitle(input.task),
      width && height ? `${width}\u00a0×\u00a0${height}\u00a0pixels` : null,
      metrics?.predict_time ? duration(metrics.predict_time).replaceAll(" ", "\u00a0") : null,
    ]
      .filter(Boolean)
      .join(" · ");
  }
}
