/** The steps of a pipeline for one photo: what the service proposes, and what the user adds. */

import { button, element } from "./dom.js";
import { stepTitle } from "./tasks.js";

/**
 * Create the list of steps with their reasons.
 *
 * @param {Photo} photo inspected. @param {string[]} all the steps that exist.
 * @param {function} onChange called after a choice; the list is created again after an addition.
 */
export function stepsView(photo, all, onChange) {
  const rows = photo.steps.map((step, index) => stepRow(photo, step, index, onChange));
  const none = element("p", {
    class: "hint",
    text: "The service proposes no step for this photo. You can add one.",
  });
  return element(
    "fieldset",
    { class: "steps" },
    element("legend", { text: "Steps" }),
    rows.length ? element("ol", {}, ...rows) : none,
    addStep(photo, all, onChange),
  );
}

function stepRow(photo, step, index, onChange) {
  const id = `photo-${photo.number}-step-${index}`;
  const onchange = (event) => {
    step.chosen = event.target.checked;
    onChange(false);
  };
  const checkbox = { type: "checkbox", id, checked: step.chosen, onchange };
  return element(
    "li",
    {},
    element("input", { ...checkbox, "aria-describedby": `${id}-why` }),
    element("label", { htmlFor: id, text: stepTitle(step.step, step.work) }),
    element("span", { class: "why", id: `${id}-why`, text: step.why }),
  );
}

function addStep(photo, all, onChange) {
  const present = photo.steps.map((each) => each.step);
  const absent = all.filter((step) => !present.includes(step) && step !== "inpaint");
  if (!absent.length) return null;
  const id = `photo-${photo.number}-add`;
  const options = absent.map((step) => element("option", { value: step, text: stepTitle(step) }));
  const select = element("select", { id }, ...options);
  const onclick = () => {
    const added = { step: select.value, work: "", why: "you added it" };
    photo.steps.push({ ...added, proposed: false, chosen: true });
    onChange(true);
  };
  return element(
    "div",
    { class: "add-step" },
    element("label", { htmlFor: id, text: "Add a step", class: "visually-hidden" }),
    select,
    button({ text: "Add step", symbol: "plus", kind: "small", onclick }),
  );
}
