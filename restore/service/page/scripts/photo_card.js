/** The card of one photo: what to do with it, its running job, and its result. */

import { announce } from "./announcer.js";
import { button, byId, element, icon } from "./dom.js";
import { facesView } from "./faces_view.js";
import { Job } from "./job.js";
import { JobView } from "./job_view.js";
import { fileKind, fileSize } from "./names.js";
import { withLabels } from "./option_labels.js";
import { errorBox, warningsBox } from "./problems.js";
import { describeState } from "./progress.js";
import { inputFor, restoresFaces } from "./request.js";
import { Result } from "./result_view.js";
import { stepsView } from "./steps_view.js";
import { marksOf } from "./strokes.js";

export class PhotoCard {
  /**
   * @param {Photo} photo a measured one.
   * @param {Page} page has `task` and `options()` as chosen, and is told of what happens.
   */
  constructor(photo, page) {
    this.photo = photo;
    this.page = page;
    this.job = null;
    this.result = null;
    /** An error of the last job or of the choice, and whether it can be tried again. */
    this.problem = null;
    this.media = element("div", { class: "media" });
    this.side = element("div", { class: "side" });
    const title = `photo-${photo.number}-name`;
    this.meta = element("p", { class: "meta" });
    this.inspectingText = element("p", { class: "inspecting" });
    this.node = element(
      "article",
      { class: "card", "aria-labelledby": title },
      element(
        "header",
        {},
        element("h3", { id: title, text: photo.name, title: photo.name }),
        this.meta,
        button({
          label: `Remove ${photo.name}`,
          symbol: "close",
          kind: "quiet",
          onclick: () => page.remove(this),
        }),
      ),
      this.media,
      this.side,
    );
    this.render();
  }

  get isRunning() {
    return this.job !== null;
  }

  /** Whether the photo can be submitted. */
  get isReady() {
    return !this.job && !this.result && !this.photo.unusable;
  }

  /** Show the photo in its present state. */
  render() {
    const { photo } = this;
    const size = photo.canBeShown ? `${photo.width} × ${photo.height} pixels · ` : "";
    this.meta.textContent = size + fileSize(photo.file.size);
    if (this.result) return this.#renderResult();
    this.media.replaceChildren(this.#preview());
    if (this.job) return this.side.replaceChildren(this.view.node);
    return this.side.replaceChildren(...this.#plan());
  }

  /** Show the state of the inspection; null means that the photo is on its way to the service. */
  showInspection(prediction) {
    const waits = prediction?.status === "starting" && prediction.metrics?.queue_position > 0;
    const state = waits ? ` ${describeState(prediction)}.` : "";
    this.inspectingText.textContent = `Inspecting the photo…${state}`;
  }

  /** Submit the photo with the chosen task and options. */
  async start() {
    const { task } = this.page;
    const { input, problem } = inputFor(this.photo, task, this.page.options());
    if (!input) {
      this.problem = { error: new Error(problem), retry: false };
      this.render();
      return;
    }
    await this.#run((job, onChange) => job.run(this.page.version, input, onChange));
  }

  /** Follow a prediction that was submitted before. */
  async resume(prediction) {
    await this.#run((job, onChange) => job.resume(prediction, onChange));
  }

  cancel() {
    this.job?.cancel().catch((error) => announce(error.message));
  }

  close() {
    this.job?.leave();
    this.view?.close();
    this.result?.close();
    this.photo.close();
  }

  async #run(work) {
    const { name } = this.photo;
    const job = new Job(this.page.api, this.photo);
    this.job = job;
    this.problem = null;
    this.view = new JobView(name, () => this.cancel());
    this.render();
    this.page.changed(this);
    let status = null;
    try {
      const finished = await work(job, (prediction, reached) => {
        if (prediction && prediction.status !== status) {
          if (status === null) this.page.remember(this, prediction);
          status = prediction.status;
          if (status === "processing") announce(`${name} is being restored`);
        }
        this.view.update(prediction, reached);
      });
      this.result = finished.blobs.length ? new Result(this.photo, finished) : null;
      if (!this.result) this.page.forget(this);
      announce(this.result ? `${name} is restored` : `${name} was cancelled`);
    } catch (error) {
      this.#fail(error, job);
    }
    this.job = null;
    this.view.close();
    this.render();
    this.page.changed(this);
  }

  #fail(error, job) {
    if (error.name === "AbortError") return; // cancelled before the submission, or removed
    this.problem = { error, retry: !error.isAboutPhoto };
    if (error.isAboutPhoto) this.photo.unusable = error;
    announce(`${this.photo.name} failed: ${withLabels(error.message)}`);
    if (job.prediction === null) this.photo.stored = null; // the stored copy may be the reason
  }

  #renderResult() {
    this.media.replaceChildren(this.result.picture());
    this.setShape();
    const onView = () => this.page.viewer.show(this.result.view);
    const onAgain = () => {
      this.result.close();
      this.result = null;
      this.render();
      this.page.changed(this);
      if (this.photo.inspection !== "done") this.page.inspect(this);
      this.side.querySelector("input, button")?.focus();
    };
    this.side.replaceChildren(this.result.details({ onView, onAgain }));
  }

  /** The picture keeps the shape of the photo in the space that the card has. */
  setShape() {
    const { width, height } = this.photo;
    if (width) this.media.style.setProperty("--shape", String(width / height));
  }

  #preview() {
    const { photo } = this;
    if (!photo.canBeShown) {
      const text = `This browser cannot show ${fileKind(photo.name)}.`;
      const remedy = "The photo can be restored, and its result is shown here.";
      const known = photo.inspection === "done";
      const hint = known ? element("p", { class: "hint", text: remedy }) : null;
      return element("div", { class: "no-preview" }, icon("photo"), element("p", { text }), hint);
    }
    this.setShape();
    const image = element("img", { src: photo.address, alt: photo.name });
    this.faces = photo.faces.length && !this.job ? facesView(photo, () => {}) : null;
    this.#showFaces();
    const marks = photo.mask ? marksOf(photo.strokes, photo.width, photo.height) : null;
    return element("div", { class: "preview" }, image, marks, this.faces?.boxes ?? null);
  }

  /** Parts of the card while the user decides. */
  #plan() {
    const { photo, page } = this;
    const { task } = page;
    const parts = [];
    if (this.problem) {
      parts.push(errorBox(this.problem.error, this.problem.retry ? () => this.start() : null));
    }
    if (photo.unusable) {
      if (!this.problem) parts.push(errorBox(photo.unusable));
      return parts;
    }
    if (photo.inspection === "waiting") {
      parts.push(this.inspectingText);
    } else if (task === "pipeline" && photo.inspection === "done") {
      parts.push(stepsView(photo, page.steps, (again) => this.#stepsChanged(again)));
    }
    if (this.inspectionError) parts.push(this.#inspectionProblem());
    if (this.faces) parts.push(this.faces.controls);
    if (["inpaint", "pipeline"].includes(task)) parts.push(this.#markButton());
    parts.push(warningsBox(photo.warnings));
    return parts.filter(Boolean);
  }

  #stepsChanged(again) {
    this.problem = null;
    if (again) this.render();
    else this.#showFaces();
    this.page.changed(this);
  }

  /** Faces can be chosen where the task restores faces. */
  #showFaces() {
    if (!this.faces) return;
    const { task } = this.page;
    const used = restoresFaces(this.photo, task, { task, ...this.page.options() });
    this.faces.boxes.hidden = this.faces.controls.hidden = !used;
  }

  #inspectionProblem() {
    const text = "The photo was not inspected, so that the service will choose the steps.";
    return element(
      "div",
      {},
      errorBox(this.inspectionError, () => this.page.inspect(this)),
      element("p", { class: "hint", text }),
    );
  }

  #markButton() {
    const { photo } = this;
    const count = photo.strokes.length;
    const text = count ? `Change marked areas (${count})` : "Mark areas to fill";
    const kind = this.page.task === "inpaint" && !count ? "primary" : "small";
    const onclick = async () => {
      if (await this.page.maskEditor.open(photo)) {
        this.problem = null;
        this.render();
        this.page.changed(this);
      }
      byId(`photo-${photo.number}-mark`)?.focus();
    };
    const disabled = !photo.canBeShown;
    const title = disabled ? "The browser cannot show this photo: convert it to PNG first." : null;
    return button({
      text,
      symbol: "brush",
      kind,
      id: `photo-${photo.number}-mark`,
      disabled,
      title,
      onclick,
    });
  }
}
