/** One photo of the user: its file, what the service found in it, and what to do with it. */

let lastNumber = 0;

export class Photo {
  /** @param {File|Blob} file the photo. @param {string} name its name. */
  constructor(file, name) {
    lastNumber += 1;
    this.number = lastNumber;
    this.file = file;
    this.name = name;
    this.address = URL.createObjectURL(file);
    /** Size of the upright photo in pixels; 0 if the browser cannot show the format. */
    this.width = 0;
    this.height = 0;
    /** The stored copy: {url, expires} or null. */
    this.stored = null;
    /** "waiting", "done" or "failed". */
    this.inspection = "waiting";
    /** Steps to choose from: {step, work, why, chosen, proposed}; see inspection.js for `work`. */
    this.steps = [];
    /** Faces: {index, box: [x0, y0, x1, y1], restorable, reason, chosen}. */
    this.faces = [];
    this.warnings = [];
    /** What the user marked for filling, see strokes.js. */
    this.strokes = [];
    this.mask = null;
    /** A ServiceError that concerns the photo itself, with any task. */
    this.unusable = null;
  }

  /** Read the size of the photo; the browser turns it upright. */
  async measure() {
    const image = new Image();
    image.src = this.address;
    try {
      await image.decode();
      this.width = image.naturalWidth;
      this.height = image.naturalHeight;
    } catch {
      this.width = 0;
      this.height = 0;
    }
  }

  get canBeShown() {
    return this.width > 0;
  }

  /** Take over the result of the task `inspect`. */
  setInspection({ width, steps, faces, warnings }) {
    const scale = this.width ? this.width / width : 1; // the service may have reduced the photo
    const marked = this.steps.filter((each) => each.step === "inpaint" && this.mask);
    const proposed = steps.map((each) => ({ ...each, proposed: true, chosen: true }));
    this.steps = [...marked, ...proposed];
    this.faces = faces.map((face) => ({
      ...face,
      box: face.box.map((side) => side * scale),
      chosen: face.restorable,
    }));
    this.warnings = warnings;
    this.inspection = "done";
  }

  /** Keep the areas that the user marked; the step that fills them is chosen with them. */
  setMask(strokes, mask) {
    this.strokes = strokes;
    this.mask = mask;
    this.steps = this.steps.filter((each) => each.step !== "inpaint");
    if (mask) {
      const why = "you marked an area";
      this.steps.unshift({ step: "inpaint", work: "", why, proposed: true, chosen: true });
    }
  }

  get chosenSteps() {
    return this.steps.filter((each) => each.chosen);
  }

  /** The centres of the chosen faces, or null if all faces that can be restored are chosen. */
  get facePoints() {
    if (this.faces.every((face) => face.chosen || !face.restorable)) return null;
    return this.faces.filter((face) => face.chosen).map((face) => centre(face.box));
  }

  /** Free the memory of the photo. */
  close() {
    URL.revokeObjectURL(this.address);
  }
}

function centre([x0, y0, x1, y1]) {
  return [(x0 + x1) / 2, (y0 + y1) / 2];
}
