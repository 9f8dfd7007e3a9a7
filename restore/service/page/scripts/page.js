/** The page as a whole: its cards, the settings that they share, and actions on all of them. */

import { announce } from "./announcer.js";
import { byId } from "./dom.js";
import { saveZip } from "./download.js";
import { inspect } from "./inspection.js";
import { Limiter } from "./jobs.js";
import { MaskEditor } from "./mask_editor.js";
import { uniqueNames } from "./names.js";
import { learnLabels, withLabels } from "./option_labels.js";
import { OptionsForm } from "./options_form.js";
import { Photo } from "./photo.js";
import { PhotoCard } from "./photo_card.js";
import { errorBox } from "./problems.js";
import { forgetJobs, rememberJob } from "./recent_store.js";
import { RecentView } from "./recent_view.js";
import { fieldsOf, tasksOf } from "./schema.js";
import { fillTaskPicker } from "./task_picker.js";
import { INSPECT_TASK } from "./tasks.js";
import { thumbnailOf } from "./thumbnail.js";
import { Viewer } from "./viewer.js";

/** As in layout.css: the settings are beside the photos. */
const WIDE = "(min-width: 62rem)";

const inspections = new Limiter(2);

export class Page {
  /** @param {Api} api the client. @param {{id: string, openapi_schema: Object}} version */
  constructor(api, version) {
    this.api = api;
    this.version = version.id;
    const tasks = tasksOf(version.openapi_schema);
    this.steps = tasks.filter((task) => !["pipeline", INSPECT_TASK].includes(task));
    this.canInspect = tasks.includes(INSPECT_TASK);
    this.cards = [];
    this.maskEditor = new MaskEditor();
    this.viewer = new Viewer();
    const fields = fieldsOf(version.openapi_schema);
    learnLabels(fields);
    this.form = new OptionsForm(byId("important-options"), byId("other-options"), fields);
    this.task = fillTaskPicker(byId("tasks"), tasks, (task) => this.#setTask(task));
    this.form.show(this.task);
    this.recent = new RecentView(api, {
      open: (id) => this.open(id),
      isOpen: (id) => this.cards.some((card) => card.predictionId === id),
    });
    byId("start").addEventListener("click", () => this.#start());
    byId("cancel-all").addEventListener("click", () =>
      this.#running.forEach((card) => card.cancel()),
    );
    byId("save-all").addEventListener("click", () => this.#saveAll());
    byId("remove-all").addEventListener("click", () =>
      [...this.cards].forEach((card) => this.remove(card)),
    );
    // Not "change", which comes while a button of a card is pressed, and would replace the button.
    byId("other-options").addEventListener("input", () => this.#optionsChanged());
    byId("important-options").addEventListener("input", () => this.#optionsChanged());
    byId("options").open = matchMedia(WIDE).matches; // on a phone the photos come first
    this.recent.render();
    this.#update();
  }

  /** The options that differ from their defaults. */
  options() {
    return this.form.values();
  }

  /** Add photos, and let the service inspect them. */
  async addFiles(files) {
    const photos = files.map((file) => new Photo(file, file.name || "photo"));
    await Promise.all(photos.map((photo) => photo.measure()));
    const added = photos.map((photo) => this.#add(photo));
    announce(added.length === 1 ? `${photos[0].name} added` : `${added.length} photos added`);
    added.forEach((card) => this.inspect(card));
  }

  /** Let the service inspect the photo of a card. */
  async inspect(card) {
    const { photo } = card;
    card.inspectionError = null;
    photo.inspection = this.canInspect ? "waiting" : "failed";
    card.showInspection(null);
    card.render();
    if (!this.canInspect) return;
    card.inspecting = new AbortController();
    const { signal } = card.inspecting;
    const onChange = (prediction) => card.showInspection(prediction);
    try {
      const options = this.options();
      const work = () => inspect(this.api, this.version, photo, { options, signal, onChange });
      photo.setInspection(await inspections.run(work));
      const count = photo.steps.length;
      announce(`${photo.name}: ${count} ${count === 1 ? "step" : "steps"} proposed`);
    } catch (error) {
      photo.inspection = "failed";
      if (error.name !== "AbortError") this.#inspectionFailed(card, error);
    }
    if (!card.isRunning && !card.result) card.render();
    this.#update();
  }

  /** Show a job that was submitted before, as a card. */
  async open(id) {
    this.#setProblem(null);
    try {
      const prediction = await this.api.prediction(id);
      if (prediction.input.task === INSPECT_TASK) {
        throw new Error("This job inspected a photo. It has no restored photo to show.");
      }
      const address = prediction.input.image ?? prediction.input.images?.[0];
      if (!address) throw new Error("The service has removed this photo and its result.");
      const name = decodeURIComponent(new URL(address, location.href).pathname.split("/").pop());
      const photo = new Photo(await this.api.blob(address), name);
      photo.inspection = "failed"; // it can be restored again, with the steps of the service
      await photo.measure();
      const card = this.#add(photo);
      card.predictionId = id;
      this.recent.render();
      card.node.scrollIntoView({ block: "nearest" });
      await card.resume(prediction);
    } catch (error) {
      this.#setProblem(error);
    }
  }

  remove(card) {
    card.inspecting?.abort();
    if (card.isRunning) card.cancel();
    card.close();
    this.cards = this.cards.filter((each) => each !== card);
    const next = card.node.nextElementSibling ?? card.node.previousElementSibling;
    card.node.remove();
    announce(`${card.photo.name} removed`);
    (next?.querySelector("button") ?? byId("choose")).focus();
    this.recent.render();
    this.#update();
  }

  /** Called by a card whose state has changed. */
  changed(card) {
    if (card.isRunning) card.inspecting?.abort();
    if (card.result) {
      thumbnailOf(card.result.files[0].blob).then((thumbnail) =>
        rememberJob({ id: card.predictionId, thumbnail }),
      );
    }
    this.#update();
  }

  /** Called by a card whose prediction exists: it is listed when the page is opened again. */
  remember(card, prediction) {
    card.predictionId = prediction.id;
    const created = Date.parse(prediction.created_at);
    rememberJob({ id: prediction.id, name: card.photo.name, task: prediction.input.task, created });
  }

  /** Called by a card whose prediction was cancelled: there is no result to list. */
  forget(card) {
    if (card.predictionId) forgetJobs(card.predictionId);
  }

  #add(photo) {
    const card = new PhotoCard(photo, this);
    this.cards.push(card);
    byId("cards").append(card.node);
    this.#update();
    return card;
  }

  #inspectionFailed(card, error) {
    if (error.isAboutPhoto) card.photo.unusable = error;
    else card.inspectionError = error;
    announce(`${card.photo.name}: ${withLabels(error.message)}`);
  }

  #setTask(task) {
    this.task = task;
    this.form.show(task);
    this.#optionsChanged();
  }

  #optionsChanged() {
    for (const card of this.cards.filter((each) => each.isReady)) {
      card.problem = null;
      card.render();
    }
    this.#update();
  }

  #start() {
    const form = byId("settings");
    if (!form.checkValidity()) {
      byId("options").open = byId("more-options").open = true; // the browser points at the field
      form.reportValidity();
      return;
    }
    this.#ready.forEach((card) => card.start());
    byId("cards-title").focus(); // the button is hidden while there is nothing to start
  }

  async #saveAll() {
    const files = this.cards.flatMap((card) => card.result?.files ?? []);
    const names = uniqueNames(files.map((file) => file.name));
    const renamed = files.map((file, index) => ({ blob: file.blob, name: names[index] }));
    await saveZip(renamed, "restored-photos.zip");
  }

  get #ready() {
    return this.cards.filter((card) => card.isReady);
  }

  get #running() {
    return this.cards.filter((card) => card.isRunning);
  }

  #setProblem(error) {
    byId("page-problem").replaceChildren(...(error ? [errorBox(error)] : []));
  }

  /** Show and name the actions that there are. */
  #update() {
    const [ready, running] = [this.#ready.length, this.#running.length];
    const done = this.cards.filter((card) => card.result).length;
    document.body.classList.toggle("has-photos", this.cards.length > 0);
    byId("workspace").hidden = this.cards.length === 0;
    byId("choose-text").textContent = this.cards.length ? "Add photos" : "Choose photos";
    byId("actions").hidden = ready === 0 && running < 2;
    byId("start").hidden = ready === 0;
    byId("start-hint").hidden = done === 0 || ready > 0 || running > 0;
    byId("start-text").textContent = ready > 1 ? `Restore ${ready} photos` : "Restore photo";
    byId("cancel-all").hidden = running < 2;
    byId("save-all").hidden = done < 2;
    byId("cards-title").textContent = summary(this.cards.length, running, done);
  }
}

function summary(all, running, done) {
  const photos = `${all} ${all === 1 ? "photo" : "photos"}`;
  const parts = [running ? `${running} in progress` : "", done ? `${done} restored` : ""];
  return [photos, ...parts.filter(Boolean)].join(" · ");
}
