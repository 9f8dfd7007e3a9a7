/** Predictions from their start to their end. */

import { ServiceError } from "./errors.js";
import { sleep } from "./api.js";

export const FINAL = new Set(["succeeded", "failed", "canceled", "aborted"]);

const SHORTEST_PAUSE_MS = 500;
const PAUSE_PER_JOB_MS = 150;
const MAX_PAUSE_MS = 10_000;
const FILE_MARGIN_MS = 5 * 60_000;

let followed = 0;

/** Store a photo, unless the service still has it, and return its address. */
export async function storedAddress(api, photo, signal) {
  if (photo.stored && photo.stored.expires - Date.now() > FILE_MARGIN_MS) return photo.stored.url;
  const file = await api.upload(photo.file, photo.name, signal);
  photo.stored = { url: file.urls.get, expires: expiryOf(file) };
  return photo.stored.url;
}

function expiryOf(file) {
  const time = Date.parse(file.expires_at ?? "");
  return Number.isNaN(time) ? 0 : time;
}

/**
 * Ask for the state of a prediction until it has ended. A service that does not respond for a while
 * is asked again: its jobs survive a restart.
 *
 * @param {Api} api the client.
 * @param {Object} prediction as the service returned it last.
 * @param {{signal: AbortSignal, onChange: function(Object, boolean)}} options `onChange` gets the
 *     prediction and whether the service was reached.
 * @returns {Promise<Object>} the prediction at its end.
 */
export async function follow(api, prediction, { signal, onChange }) {
  let failures = 0;
  followed += 1;
  try {
    while (!FINAL.has(prediction.status)) {
      await sleep(pause(failures), signal);
      try {
        prediction = await api.prediction(prediction.id, signal);
        failures = 0;
      } catch (error) {
        if (!isTemporary(error)) throw error;
        failures += 1;
      }
      onChange(prediction, failures === 0);
    }
    return prediction;
  } finally {
    followed -= 1;
  }
}

/** Many jobs are asked for less often each, so that they stay below the limit of requests. */
function pause(failures) {
  const usual = Math.max(SHORTEST_PAUSE_MS, PAUSE_PER_JOB_MS * followed);
  return Math.min(MAX_PAUSE_MS, usual * 2 ** failures);
}

function isTemporary(error) {
  return error instanceof ServiceError && [0, 429, 500, 502, 503, 504].includes(error.status);
}

/** Return the result addresses of a finished prediction, or throw its error. */
export function outputsOf(prediction) {
  if (prediction.status === "failed") {
    throw new ServiceError(prediction.error ?? "The job failed without a message.");
  }
  if (prediction.data_removed || !prediction.output) {
    throw new ServiceError("The service has removed this result. Restore the photo again.", 410);
  }
  return [prediction.output].flat();
}

/** Lets a few tasks run at a time; the others wait. */
export class Limiter {
  constructor(most) {
    this.free = most;
    this.waiting = [];
  }

  async run(task) {
    if (this.free > 0) this.free -= 1;
    else await new Promise((resolve) => this.waiting.push(resolve));
    try {
      return await task();
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.free += 1;
    }
  }
}
