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
    input.steps = stepsOf(photo);
  }
  const faces = restoresFaces(photo, task, input) ? photo.facePoints : null;
  if (faces && !faces.length) {
    const other = task === "pipeline" ? "leave out the steps for faces" : "another task";
    return refuse(`Choose at least one face, or ${other}.`);
  }
  if (faces && /\d/.test(options.faces ?? "")) {
    return refuse(
      "The option Faces chooses faces by number, and you chose faces in the photo, too. " +
        "Clear the option, or choose all faces in the photo.",
    );
  }
  if (faces) input.face_points = JSON.stringify(faces);
  return { input, problem: "" };
}

/** Tell whether a photo's mask is a part of its request. */
export function usesMask(photo, input) {
  if (!photo.mask) return false;
  if (input.task === "inpaint") return true;
  return input.task === "pipeline" && photo.chosenSteps.some(({ step }) => step === "inpaint");
}

function refuse(problem) {
  return { input: null, problem };
}

/**
 * Return the value of `steps`: the service proposes the steps again, each with its own options.
 *
 * A list of the chosen steps would lose them: an option applies to all steps of a request. An area
 * that is marked is a step because the request has its mask, see usesMask.
 */
function stepsOf({ steps }) {
  const added = steps.filter((each) => each.chosen && !each.proposed);
  const left = steps.filter((each) => !each.chosen && each.proposed && each.step !== "inpaint");
  const leftOut = left.map(({ step, work }) => `-${work || step}`);
  return ["auto", ...added.map(({ step }) => step), ...leftOut].join(",");
}

/** Tell whether a request restores faces, so that the choice of faces counts. */
export function restoresFaces(photo, task, input) {
  if (task === "old_photo_restore") return input.with_face !== false;
  if (task === "upscale") return Boolean(input.face_enhance);
  if (task === "pipeline") return photo.chosenSteps.some((each) => FACE_TASKS.has(each.step));
  return FACE_TASKS.has(task);
}
