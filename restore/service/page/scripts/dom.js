/** Builds elements without HTML text, so that no file name or message is ever parsed as HTML. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Create an element.
 *
 * @param {string} tag name of the element.
 * @param {Object} properties `class`, `text`, functions for events ("onclick"), properties of the
 *     element, or else attributes; null and undefined are left out.
 * @param {...(Node|string|null)} children nodes and texts; null is left out.
 */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value !== null && value !== undefined) setProperty(node, name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function setProperty(node, name, value) {
  if (name === "class") node.className = value;
  else if (name === "text") node.textContent = value;
  else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
  else if (name in node && !name.includes("-")) node[name] = value;
  else node.setAttribute(name, value);
}

/** Create an icon of index.html; it is hidden from screen readers. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** Create a button with an icon and a text; without a text, `label` is its accessible name. */
export function button({ text = "", label = null, symbol = null, kind = "", ...rest }) {
  return element(
    "button",
    {
      type: "button",
      class: `button ${kind}${text ? "" : " icon-only"}`,
      "aria-label": label,
      title: text ? null : label,
      ...rest,
    },
    symbol ? icon(symbol) : null,
    text ? element("span", { text }) : null,
  );
}

/** Return the element of index.html with an id. */
export function byId(id) {
  return document.getElementById(id);
}
