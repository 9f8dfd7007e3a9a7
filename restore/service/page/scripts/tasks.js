/** How the page presents tasks, steps and options. What they are is in the model's schema. */

import { humanName } from "./names.js";

/** Title and summary of each task, and the options that are shown without unfolding the others. */
export const TASKS = {
  pipeline: {
    title: "Proposed steps",
    summary: "Each photo gets the steps that it needs. You can change them.",
    options: ["scale", "codeformer_fidelity", "output_format"],
  },
  face_restore: {
    title: "Restore faces",
    summary: "Make blurred or damaged faces clear.",
    options: ["codeformer_fidelity", "face_upscale", "background_enhance", "output_format"],
  },
  enhance: {
    title: "Enlarge with faces",
    summary: "Enlarge the whole photo and restore its faces.",
    options: ["scale", "codeformer_fidelity", "output_format"],
  },
  upscale: {
    title: "Enlarge",
    summary: "More pixels and sharp details.",
    options: ["scale", "grain", "output_format"],
  },
  restore: {
    title: "Remove noise or blur",
    summary: "The size stays the same.",
    options: ["restore_variant", "strength", "output_format"],
  },
  colorize: {
    title: "Add colours",
    summary: "For black-and-white and sepia photos.",
    options: ["saturation", "strength", "output_format"],
  },
  old_photo_restore: {
    title: "Repair an old photo",
    summary: "Fill scratches and cracks, restore faces.",
    options: ["with_scratch", "with_face", "scratch_threshold", "output_format"],
  },
  colors: {
    title: "Refresh colours",
    summary: "For faded, yellow or magenta photos.",
    options: ["strength", "output_format"],
  },
  inpaint: {
    title: "Fill marked areas",
    summary: "Remove what you paint over, such as a stain.",
    options: ["inpaint_variant", "output_format"],
  },
};

const STEP_TITLES = {
  old_photo_restore: "Fill scratches",
  denoise: "Remove noise",
  deblur: "Remove blur",
};

/** Labels of options whose name in the API is not clear to everyone. */
export const LABELS = {
  codeformer_fidelity: "Likeness of faces",
  scale: "Enlarge by",
  face_upscale: "Enlarge result by",
  with_scratch: "Fill scratches",
  with_face: "Restore faces too",
  background_enhance: "Enhance the background",
  output_format: "File format",
  restore_variant: "Network",
  inpaint_variant: "Network",
  render_factor: "Render size",
  saturation: "Colourfulness",
  only_center_face: "Only the face in the centre",
  min_face_px: "Smallest face in pixels",
  target_px: "Long side in pixels",
  target_mp: "Size in megapixels",
  max_megapixels: "Largest photo in megapixels",
  has_aligned: "Photo is one aligned face",
  old_photo_hr: "Large old photo",
  return_mask: "Return the scratch mask",
  output_quality: "File quality",
  keep_gps: "Keep the GPS position",
};

/** The task that finds out what a photo needs; it is not offered as a task. */
export const INSPECT_TASK = "inspect";

/** Tasks that restore faces, and steps of a pipeline that do. */
export const FACE_TASKS = new Set(["face_restore", "enhance"]);

/** Return the title of a task; one that this page does not know gets its name. */
export function taskTitle(task) {
  return TASKS[task]?.title ?? humanName(task);
}

/** Return the title of a step of a pipeline, or of the work that it does. */
export function stepTitle(step, work = "") {
  return STEP_TITLES[work || step] ?? taskTitle(step);
}

/** Return the label of a field of the form. */
export function fieldLabel(field) {
  return LABELS[field.name] ?? field.label;
}
