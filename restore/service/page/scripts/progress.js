/** What a job's log says about its progress. */

const BAR = /^(.*?):?\s*(\d+)%\|[^|]*\|\s*(\d+)\/(\d+)/;

/**
 * Return the progress in the last line of tqdm's format, such as "upscale:  42%|####      | 5/12".
 *
 * @param {string} logs the log of a prediction.
 * @returns {{label: string, done: number, total: number}|null} null if no line has progress.
 */
export function progressOf(logs) {
  const lines = (logs ?? "").split(/[\r\n]+/);
  for (const line of lines.reverse()) {
    const found = BAR.exec(line.trim());
    if (found && Number(found[4]) > 0) {
      return { label: found[1].trim(), done: Number(found[3]), total: Number(found[4]) };
    }
  }
  return null;
}

/** Say in words where a prediction stands. */
export function describeState(prediction) {
  if (prediction.status === "starting") {
    const before = prediction.metrics?.queue_position;
    if (before === undefined || before === null) return "Waiting in the queue";
    if (before === 0) return "Waiting: next in the queue";
    return `Waiting: ${before} ${before === 1 ? "job" : "jobs"} before this one`;
  }
  const progress = progressOf(prediction.logs);
  if (!progress) return "Running";
  const label = progress.label ? humanName(progress.label) : "Running";
  return `${label}: ${progress.done} of ${progress.total}`;
}

/** Turn a name such as face_restore into words: Face restore. */
export function humanName(name) {
  const words = name.replaceAll("_", " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Write a duration in seconds as "12 s" or "3 min 5 s". */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
