/** Names of options in the service's messages, written as the form of the page labels them. */

import { fieldLabel } from "./tasks.js";

/** Labels by name. Names of one word, such as scale, are read as words. */
const labels = new Map();

/** Take over the options of the model, as fields of schema.js. */
export function learnLabels(fields) {
  labels.clear();
  for (const field of fields) {
    if (field.name.includes("_")) labels.set(field.name, fieldLabel(field));
  }
}

/** Return a message with labels: `set max_megapixels` becomes set “Largest photo in megapixels”. */
export function withLabels(text) {
  return text
    .replace(/\bset (\w+) to false\b/g, (all, name) =>
      labels.has(name) ? `switch off “${labels.get(name)}”` : all,
    )
    .replace(/(?<![\w'"“./-])[a-z]+(?:_[a-z]+)+(?![\w'"”/-]|\.\w)/g, (name) =>
      labels.has(name) ? `“${labels.get(name)}”` : name,
    );
}
