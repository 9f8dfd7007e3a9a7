/** The way of one photo from its choice to its results: upload, prediction, download. */

import { FINAL, Limiter, follow, outputsOf, storedAddress } from "./jobs.js";
import { usesMask } from "./request.js";

const uploads = new Limiter(3);

/** A running or finished job of a photo. */
export class Job {
  /** @param {Api} api the client. @param {Photo} photo what is restored. */
  constructor(api, photo) {
    this.api = api;
    this.photo = photo;
    this.prediction = null;
    this.started = Date.now();
    this.stopping = new AbortController();
    this.cancelled = false;
  }

  /**
   * Submit the photo and wait for its results.
   *
   * @param {string} version id of the model's version. @param {Object} input as of inputFor.
   * @param {function(Object|null, boolean)} onChange gets the prediction (null while the photo is
   *     sent) and whether the service was reached.
   * @returns {Promise<Result>} as of finish.
   */
  async run(version, input, onChange) {
    const { signal } = this.stopping;
    onChange(null, true);
    this.prediction = await uploads.run(async () => {
      const files = { image: await storedAddress(this.api, this.photo, signal) };
      if (usesMask(this.photo, input)) files.mask = await this.#storeMask(signal);
      return this.api.createPrediction(version, { ...input, ...files }, signal);
    });
    if (this.cancelled) await this.#cancelPrediction(); // while the request was on its way
    return this.finish(onChange);
  }

  /** Wait for the results of a prediction that exists already. */
  resume(prediction, onChange) {
    this.prediction = prediction;
    return this.finish(onChange);
  }

  /**
   * Follow the prediction to its end.
   *
   * @typedef {{prediction: Object, blobs: Blob[]}} Result
   * @returns {Promise<Result>} without blobs if it was cancelled.
   */
  async finish(onChange) {
    const changed = (prediction, reached) => {
      this.prediction = prediction;
      onChange(prediction, reached);
    };
    changed(this.prediction, true);
    const { signal } = this.stopping;
    const ended = await follow(this.api, this.prediction, { signal, onChange: changed });
    if (["canceled", "aborted"].includes(ended.status)) return { prediction: ended, blobs: [] };
    const addresses = outputsOf(ended);
    const blobs = await Promise.all(addresses.map((address) => this.api.blob(address)));
    return { prediction: ended, blobs };
  }

  /** Ask the service to stop; `finish` ends when it has. Before the submission it ends at once. */
  async cancel() {
    this.cancelled = true;
    if (this.prediction) await this.#cancelPrediction();
    else this.stopping.abort();
  }

  /** Stop following the prediction. */
  leave() {
    this.stopping.abort();
  }

  async #cancelPrediction() {
    if (!FINAL.has(this.prediction.status)) await this.api.cancel(this.prediction.id);
  }

  async #storeMask(signal) {
    const file = await this.api.upload(this.photo.mask, "mask.png", signal);
    return file.urls.get;
  }
}
