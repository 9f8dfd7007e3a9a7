/** The task `inspect`: which steps a photo seems to need, and where its faces are. */

import { follow, outputsOf, storedAddress } from "./jobs.js";
import { INSPECT_TASK } from "./tasks.js";

/**
 * Let the service inspect a photo.
 *
 * @param {{options: Object, signal: AbortSignal, onChange: function(Object)}} work `options` are
 *     those that the user changed, `onChange` gets each state of the prediction.
 * @returns {Promise<Inspection>} as of readInspection.
 */
export async function inspect(api, version, photo, { options, signal, onChange }) {
  const image = await storedAddress(api, photo, signal);
  const input = { task: INSPECT_TASK, image, ...only(options, ["max_megapixels"]) };
  const created = await api.createPrediction(version, input, signal);
  const ended = await followOrCancel(api, created, { signal, onChange });
  const [address] = outputsOf(ended);
  const blob = await api.blob(address);
  return readInspection(JSON.parse(await blob.text()));
}

/** An inspection that nobody waits for would keep the user's next job waiting. */
async function followOrCancel(api, created, options) {
  try {
    return await follow(api, created, options);
  } catch (error) {
    if (error.name === "AbortError") api.cancel(created.id).catch(() => {}); // it may have ended
    throw error;
  }
}

/**
 * Take the parts that the page shows from the file that the service wrote.
 *
 * `work` is what a step does that can do several things: "denoise" or "deblur"; else "". `index` is
 * the number of a face in the API, from 0.
 *
 * `width` is that of the photo to which the boxes refer, which may have been reduced.
 *
 * @typedef {{width: number, steps: Array<{step: string, work: string, why: string}>,
 *     faces: Array<{index: number, box: number[], restorable: boolean, reason: string}>,
 *     warnings: string[]}} Inspection
 * @returns {Inspection}
 */
export function readInspection({ photo, steps, faces, warnings }) {
  return {
    width: photo.width,
    steps: steps.map(({ task, work, reason }) => ({ step: task, work, why: reason })),
    faces: faces.map(({ index, box, restorable, reason }) => ({ index, box, restorable, reason })),
    warnings,
  };
}

function only(options, names) {
  return Object.fromEntries(Object.entries(options).filter(([name]) => names.includes(name)));
}
