/** The inputs of the model, read from its OpenAPI schema. */

import { humanName } from "./names.js";

/** Inputs that the page fills by other means than the form of options. */
const OWN_INPUTS = new Set([
  "task",
  "image",
  "images",
  "mask",
  "masks",
  "points",
  "steps",
  "face_points",
]);

/**
 * Return the tasks that the model offers, in the order of the schema.
 *
 * @param {Object} openapi the schema of a model version.
 */
export function tasksOf(openapi) {
  return choicesOf(openapi, inputOf(openapi).task) ?? [];
}

/**
 * Return the options as fields of a form, in the order of the schema.
 *
 * @returns {Array<{name: string, label: string, description: string, tasks: string[]|null,
 *     kind: "switch"|"choice"|"number"|"text", choices: string[], whole: boolean,
 *     optional: boolean, minimum: number|null, maximum: number|null, initial: *}>}
 *     `tasks` is null for all tasks.
 */
export function fieldsOf(openapi) {
  const tasks = tasksOf(openapi);
  return Object.entries(inputOf(openapi))
    .filter(([name]) => !OWN_INPUTS.has(name))
    .sort(([, a], [, b]) => a["x-order"] - b["x-order"])
    .map(([name, input]) => fieldOf(openapi, name, input, tasks));
}

/** Return the fields that a task uses; a pipeline uses those of all tasks. */
export function fieldsOfTask(fields, task) {
  return fields.filter(
    (field) => !field.tasks || task === "pipeline" || field.tasks.includes(task),
  );
}

function fieldOf(openapi, name, input, tasks) {
  const choices = choicesOf(openapi, input) ?? [];
  const { users, text } = splitUsers(input.description ?? "", tasks);
  return {
    name,
    label: humanName(name),
    description: withoutEnvironment(text),
    tasks: users,
    kind: kindOf(input, choices),
    choices,
    whole: typesOf(input).includes("integer"),
    optional: Boolean(input.nullable) || typesOf(input).includes("null"),
    minimum: input.minimum ?? null,
    maximum: input.maximum ?? null,
    initial: input.default ?? null,
  };
}

function kindOf(input, choices) {
  if (choices.length) return "choice";
  const types = typesOf(input);
  if (types.includes("boolean")) return "switch";
  return types.includes("number") || types.includes("integer") ? "number" : "text";
}

/** OpenAPI 3.1 has lists of types, such as ["string", "null"]. */
function typesOf(input) {
  return [input.type].flat();
}

/** Descriptions of options of some tasks begin with the names of these tasks and a colon. */
function splitUsers(description, tasks) {
  const colon = description.indexOf(": ");
  const names = description.slice(0, Math.max(colon, 0)).split(", ");
  if (!names.every((name) => tasks.includes(name))) return { users: null, text: description };
  return { users: names, text: description.slice(colon + 2) };
}

/**
 * Users of the page do not set the environment of the service: its operator may have. The choice
 * `auto` is shown as "Automatic".
 */
function withoutEnvironment(description) {
  return description
    .replace(
      /auto uses the environment variable [A-Z_]+, else/,
      "automatic is the choice of this service, normally",
    )
    .replace(/\bauto uses\b/, "automatic uses");
}

function choicesOf(openapi, input) {
  if (input?.enum) return input.enum;
  const reference = input?.allOf?.[0]?.$ref ?? input?.$ref;
  return reference ? openapi.components.schemas[reference.split("/").pop()].enum : null;
}

function inputOf(openapi) {
  return openapi.components.schemas.Input.properties;
}
