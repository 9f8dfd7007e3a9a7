/** The HTTP client of the service: requests, errors and repeated requests. */

import { errorOf } from "./errors.js";

const MAX_TRIES = 4;
const MAX_PAUSE_S = 30;

export class Api {
  /**
   * @param {{get: function(): string}} key where the API key is kept; "" if there is none.
   * @param {function} onUnauthorized called when the service asks for a key.
   */
  constructor(key, onUnauthorized) {
    this.key = key;
    this.onUnauthorized = onUnauthorized;
  }

  /** Send a request and return the JSON of the answer, or throw a ServiceError. */
  async json(path, options = {}) {
    const response = await this.#send(path, options);
    return response.json();
  }

  /** Return a result as a Blob. Its address contains what permits to read it. */
  async blob(address) {
    const response = await this.#send(ownAddress(address), {});
    return response.blob();
  }

  /** Return the model of the service, which has one. */
  async model() {
    const models = await this.json("/v1/models");
    return models.results[0];
  }

  /** Store a file for the next predictions. */
  upload(blob, name, signal) {
    const body = new FormData();
    body.append("content", blob, name);
    return this.json("/v1/files", { method: "POST", body, signal });
  }

  createPrediction(version, input, signal) {
    const body = JSON.stringify({ version, input });
    const headers = { "Content-Type": "application/json" };
    return this.json("/v1/predictions", { method: "POST", body, headers, signal });
  }

  prediction(id, signal) {
    return this.json(`/v1/predictions/${encodeURIComponent(id)}`, { signal });
  }

  cancel(id) {
    return this.json(`/v1/predictions/${encodeURIComponent(id)}/cancel`, { method: "POST" });
  }

  /** Send a request; one that was refused for a moment (429, 503) is sent again. */
  async #send(path, options) {
    const key = this.key.get();
    const headers = { ...options.headers };
    if (key) headers.Authorization = `Bearer ${key}`;
    for (let attempt = 1; ; attempt += 1) {
      const response = await fetchOnce(path, { ...options, headers, credentials: "omit" });
      if (response.ok) return response;
      if (response.status === 401) this.onUnauthorized();
      const pause = Number(response.headers.get("Retry-After"));
      const again = [429, 503].includes(response.status) && pause > 0 && pause <= MAX_PAUSE_S;
      if (!again || attempt === MAX_TRIES) throw await errorOf(response);
      await sleep(1000 * pause, options.signal);
    }
  }
}

async function fetchOnce(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw await errorOf(null);
  }
}

/**
 * Return the path of an address of this service. The address in an answer may have another host
 * (a public name), but the page talks to the host that it came from only.
 */
export function ownAddress(address) {
  const url = new URL(address, location.href);
  return url.pathname + url.search;
}

/** Wait for some milliseconds; an aborted signal ends it with an AbortError. */
export function sleep(duration, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new DOMException("stopped", "AbortError"));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, duration);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}
