/** Errors and warnings as the user sees them. */

import { button, element, icon } from "./dom.js";
import { withLabels } from "./option_labels.js";

/**
 * Create the box of an error.
 *
 * @param {Error} error a ServiceError, or what a browser throws.
 * @param {function|null} onRetry adds a button that tries again.
 * @param {string} retryText the text of this button.
 */
export function errorBox(error, onRetry = null, retryText = "Try again") {
  const code = error.code ? element("span", { class: "code", text: error.code }) : null;
  return element(
    "div",
    { class: "notice error", role: "alert" },
    icon("alert"),
    element("p", {}, code, code ? " " : null, withLabels(error.message)),
    onRetry ? button({ text: retryText, kind: "small", onclick: onRetry }) : null,
  );
}

/** Create the list of the warnings of a report, or return null if it has none. */
export function warningsBox(warnings) {
  if (!warnings.length) return null;
  const title = warnings.length === 1 ? "1 warning" : `${warnings.length} warnings`;
  return element(
    "details",
    { class: "notice warning", open: warnings.length <= 2 },
    element("summary", {}, icon("alert"), element("span", { text: title })),
    element("ul", {}, ...warnings.map((text) => element("li", { text: withLabels(text) }))),
  );
}

/** Return the warnings in the reports of a prediction. */
export function warningsOf(prediction) {
  const reports = prediction.metrics?.photos ?? [];
  return reports.flatMap((report) => report.warnings ?? []);
}
