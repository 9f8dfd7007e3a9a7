/** Errors as the service gives them: a stable code such as E205, and a text with the remedy. */

/**
 * Codes of errors about the photo itself, which no task can use: its format, size or content. Those
 * of restore/errors.py that begin with PHOTO_, without those about its number or its address, and
 * without too many pixels, which an option permits; a test compares both.
 */
const PHOTO_CODES = ["E202", "E204", "E205", "E206"];

const CODED = /^\[(E\d{3})\]\s*/;

export class ServiceError extends Error {
  /**
   * @param {string} text the service's message, which may begin with its code in brackets.
   * @param {number} status HTTP status; 0 if the service was not reached or a job failed.
   */
  constructor(text, status = 0) {
    const { code, message } = splitCode(text);
    super(message);
    this.code = code;
    this.status = status;
  }

  /** Whether the photo itself cannot be used, with any task: its format, size or content. */
  get isAboutPhoto() {
    return PHOTO_CODES.includes(this.code);
  }
}

/** Split "[E205] message" into its code ("" if there is none) and its message. */
export function splitCode(text) {
  const found = CODED.exec(text);
  return found
    ? { code: found[1], message: text.slice(found[0].length) }
    : { code: "", message: text };
}

/** Return the error of a refused request; without a response the service was not reached. */
export async function errorOf(response) {
  if (response === null) {
    return new ServiceError("The service does not respond. Check the connection, then try again.");
  }
  const text = await response.text();
  return new ServiceError(
    messageOf(text) || `The service answered ${response.status}.`,
    response.status,
  );
}

/** Return the message in the body of an error: {title, detail} or FastAPI's list of details. */
export function messageOf(body) {
  let problem;
  try {
    problem = JSON.parse(body);
  } catch {
    return body.length < 500 && !body.includes("<") ? body : "";
  }
  const detail = problem?.detail ?? problem?.error ?? problem?.title;
  if (Array.isArray(detail)) return detail.map((each) => each.msg ?? String(each)).join(" ");
  return typeof detail === "string" ? detail : "";
}
