/** The input of a prediction: what the user chose for one photo. */

import { FACE_TASKS } from "./tasks.js";

/**
 * Return the input for a photo, or a text that says why there is nothing to do.
 *
 * @param {Photo} photo the photo, with its steps and faces.
 * @param {string} task the chosen task.
 * @param {Object} options the options that differ from their defaults.
 * @returns {{input: Object|null, problem: string}} without addresses of files.
 */
export function inputFor(photo, task, options) {
  if (task === "inpaint" && !photo.mask) {
    return refuse("Mark the areas to fill first: choose “Mark areas to fill” under the photo.");
  }
  const input = { task, ...options };
  if (task === "pipeline" && photo.inspection === "done") {
    if (!photo.chosenSteps.length) return refuse("Choose at least one step.");
    Object.assign(input, pipelineInput(photo, options));
  }
  const faces = restoresFaces(photo, task, input) ? photo.facePoints : null;
  if (faces && !faces.length) {
    const other = task === "pipeline" ? "leave out the steps for faces" : "another task";
    return refuse(`Choose at least one face, or ${other}.`);
  }
  if (faces) input.face_points = JSON.stringify(faces);
  return { input, problem: "" };
}

/** Tell whether a photo's mask is a part of its request. */
export function usesMask(photo, input) {
  if (!photo.mask) return false;
  if (input.task === "inpaint") return true;
  return input.task === "pipeline" && (input.steps ?? "inpaint").split(",").includes("inpaint");
}

function refuse(problem) {
  return { input: null, problem };
}

/** Proposed steps have options of their own, which those of the user precede. */
function pipelineInput(photo, options) {
  const steps = photo.chosenSteps;
  const proposed = Object.assign({}, ...steps.map((each) => each.options));
  return { ...proposed, ...options, steps: steps.map((each) => each.step).join(",") };
}

/** Tell whether a request restores faces, so that the choice of faces counts. */
export function restoresFaces(photo, task, input) {
  if (task === "old_photo_restore") return input.with_face !== false;
  if (task === "upscale") return Boolean(input.face_enhance);
  if (task === "pipeline") return photo.chosenSteps.some((each) => FACE_TASKS.has(each.step));
  return FACE_TASKS.has(task);
}
