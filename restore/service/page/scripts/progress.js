/** What a job's log says about its progress. */

import { stepTitle } from "./tasks.js";

const BAR = /\d+%\|[^|]*\|\s*(\d+)\/(\d+)\s*(?:\[[^\]]*\])?\s*(.*)$/;

/** What is counted in a line that says nothing about the steps of one photo. */
const WHOLE = "photos";

/**
 * Return the progress in the last line of tqdm's format, such as
 * " 42%|####1     | 5/12 [00:03<00:04] upscale: tiles".
 *
 * @param {string} logs the log of a prediction.
 * @returns {{label: string, done: number, total: number}|null} null if no line has progress.
 */
export function progressOf(logs) {
  const lines = (logs ?? "").split(/[\r\n]+/);
  for (const line of lines.reverse()) {
    const found = BAR.exec(line);
    if (found) return { label: found[3].trim(), done: Number(found[1]), total: Number(found[2]) };
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
  return describeProgress(progressOf(prediction.logs));
}

/** Labels are "STEP: WHAT". A single tile or face is not counted. */
function describeProgress(progress) {
  if (!progress || ["", WHOLE].includes(progress.label)) return "Running";
  const [step, what] = progress.label.split(": ");
  const count = progress.total > 1 ? ` ${progress.done} of ${progress.total}` : "";
  const part = what ? `:${count} ${what}` : count && `:${count}`;
  return stepTitle(step) + part;
}

/** Write a duration in seconds as "12 s" or "3 min 5 s". */
export function duration(seconds) {
  if (seconds < 1) return "less than 1 s";
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
