/** The form of a task's options, generated from the model's schema. */

import { element } from "./dom.js";
import { fieldsOfTask } from "./schema.js";
import { TASKS, fieldLabel, taskTitle } from "./tasks.js";

const UNSET = "";

export class OptionsForm {
  /**
   * @param {Element} important gets the options that are always shown.
   * @param {Element} others gets all others.
   * @param {Array} fields of schema.js.
   */
  constructor(important, others, fields) {
    this.important = important;
    this.others = others;
    this.fields = fields;
    /** What the user changed, by name; kept when the task changes. */
    this.changed = new Map();
    this.task = "";
  }

  /** Show the options of a task. */
  show(task) {
    this.task = task;
    const names = TASKS[task]?.options ?? [];
    const fields = fieldsOfTask(this.fields, task);
    const first = names.map((name) => fields.find((field) => field.name === name));
    this.important.replaceChildren(...first.filter(Boolean).map((field) => this.#row(field)));
    const rest = fields.filter((field) => !names.includes(field.name));
    this.others.replaceChildren(...this.#groups(rest, task));
  }

  /** Return the values that differ from their defaults. */
  values() {
    const used = fieldsOfTask(this.fields, this.task).map((field) => field.name);
    return Object.fromEntries([...this.changed].filter(([name]) => used.includes(name)));
  }

  /** Options of a pipeline are grouped by the tasks that use them. */
  #groups(fields, task) {
    const groups = new Map();
    for (const field of fields) {
      const users = task === "pipeline" && field.tasks ? field.tasks : [];
      const title = users.length ? users.map(taskTitle).join(", ") : "General";
      groups.set(title, [...(groups.get(title) ?? []), field]);
    }
    return [...groups].map(([title, members]) =>
      element(
        "fieldset",
        { class: "option-group" },
        element("legend", { text: title, class: groups.size > 1 ? "" : "visually-hidden" }),
        ...members.map((field) => this.#row(field)),
      ),
    );
  }

  #row(field) {
    const id = `option-${field.name}`;
    const value = this.changed.has(field.name) ? this.changed.get(field.name) : field.initial;
    const control = CONTROLS[controlOf(field)](field, id, value, (changed) =>
      this.#set(field, changed),
    );
    const hint = element("p", { class: "hint", id: `${id}-hint`, text: field.description });
    const label = element("label", { htmlFor: id, text: fieldLabel(field), title: field.name });
    const isSwitch = controlOf(field) === "switch";
    const line = element("div", { class: isSwitch ? "option-line switch" : "option-line" });
    line.append(...(isSwitch ? [control, label] : [label, control]));
    return element("div", { class: "option" }, line, hint);
  }

  #set(field, value) {
    if (value === field.initial) this.changed.delete(field.name);
    else this.changed.set(field.name, value);
  }
}

function controlOf(field) {
  if (field.kind === "switch") return field.optional ? "maybe" : "switch";
  const bounded = field.minimum !== null && field.maximum !== null;
  return field.kind === "number" && bounded && !field.optional ? "range" : field.kind;
}

const CONTROLS = { switch: switchControl, maybe, choice, range, number, text };

function attributes(id, rest) {
  return { id, "aria-describedby": `${id}-hint`, ...rest };
}

function switchControl(field, id, value, onValue) {
  const oninput = (event) => onValue(event.target.checked);
  return element("input", attributes(id, { type: "checkbox", checked: Boolean(value), oninput }));
}

/** A switch that may be left to the service. */
function maybe(field, id, value, onValue) {
  const meaning = { [UNSET]: null, true: true, false: false };
  const texts = { [UNSET]: "Automatic", true: "Yes", false: "No" };
  const oninput = (event) => onValue(meaning[event.target.value]);
  return select(id, texts, String(value ?? UNSET), oninput);
}

function choice(field, id, value, onValue) {
  const texts = Object.fromEntries(field.choices.map((name) => [name, choiceText(name)]));
  return select(id, texts, value, (event) => onValue(event.target.value));
}

function choiceText(name) {
  return name === "auto" ? "Automatic" : name;
}

function select(id, texts, value, oninput) {
  const options = Object.entries(texts)
    .sort(([a], [b]) => (a === UNSET ? -1 : 0) - (b === UNSET ? -1 : 0))
    .map(([each, text]) => element("option", { value: each, text, selected: each === value }));
  return element("select", attributes(id, { oninput }), ...options);
}

function range(field, id, value, onValue) {
  // Screen readers know the value from the slider.
  const output = element("span", { class: "value", "aria-hidden": "true", text: String(value) });
  const step = field.whole ? 1 : (field.maximum - field.minimum) / 20 < 0.1 ? 0.05 : 0.5;
  const oninput = (event) => {
    output.textContent = event.target.value;
    onValue(Number(event.target.value));
  };
  const { minimum: min, maximum: max } = field;
  const slider = element("input", attributes(id, { type: "range", min, max, step, oninput }));
  slider.value = String(value); // after min, max and step
  return element("span", { class: "range" }, slider, output);
}

function number(field, id, value, onValue) {
  const oninput = (event) => {
    const given = event.target.value;
    onValue(given === "" ? null : Number(given));
  };
  const { minimum: min, maximum: max } = field;
  const step = field.whole ? 1 : "any";
  const rest = { type: "number", min, max, step, placeholder: "Automatic", oninput };
  return element("input", attributes(id, { ...rest, value: value ?? "" }));
}

function text(field, id, value, onValue) {
  const oninput = (event) => onValue(event.target.value || null);
  return element("input", attributes(id, { type: "text", value: value ?? "", oninput }));
}
