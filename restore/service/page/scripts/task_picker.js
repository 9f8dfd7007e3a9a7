/** The choice of the task. */

import { element, icon } from "./dom.js";
import { INSPECT_TASK, TASKS, taskTitle } from "./tasks.js";

/**
 * Fill a fieldset with the tasks that the model offers: first those that the page knows, in its
 * order.
 *
 * @param {Element} fieldset gets the radio buttons. @param {string[]} tasks of the schema.
 * @param {function(string)} onChange called with the task that the user chose.
 * @returns {string} the task that is chosen at first.
 */
export function fillTaskPicker(fieldset, tasks, onChange) {
  const known = Object.keys(TASKS).filter((task) => tasks.includes(task));
  const others = tasks.filter((task) => !(task in TASKS) && task !== INSPECT_TASK);
  const shown = [...known, ...others];
  const choices = shown.map((task, index) => {
    const onchange = () => onChange(task);
    const radio = { type: "radio", name: "task", value: task, checked: index === 0, onchange };
    return element(
      "label",
      { class: "task" },
      element("input", radio),
      icon(`task-${task in TASKS ? task : "pipeline"}`),
      element("span", { class: "task-title", text: taskTitle(task) }),
      element("span", { class: "task-summary", text: TASKS[task]?.summary ?? "" }),
    );
  });
  fieldset.append(...choices);
  return shown[0];
}
