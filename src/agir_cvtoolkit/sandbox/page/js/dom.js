/** Makes elements. Text always becomes a text node: no name from a server can become markup. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {string} tag
 * @param {Record<string, any>} [props] `on…` are listeners, `dataset` and `style` objects, booleans switch attributes.
 * @param {...(Node | string | number | null | undefined | false)} children
 * @returns {any}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name === "style") for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    else if (name === "value" || name === "checked" || name === "selected") Object.assign(element, { [name]: value });
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

/** @param {Element} parent @param {any[]} children */
export function fill(parent, ...children) {
  parent.replaceChildren();
  append(parent, children);
}

/** @param {Element} parent @param {any[]} children */
function append(parent, children) {
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child instanceof Node ? child : String(child));
  }
}

/** Path data on a grid of 24, drawn as strokes. @type {Record<string, string>} */
const ICONS = {
  select: "M5 3l14 9-6 1.5L10 20z",
  brush: "M14 4l6 6-8.5 8.5c-1.5 1.5-5 2-7.5 1.5 1.5-.7 1.5-2.5 1.700-4.5.1-1.200.8-2.200 1.800-3z",
  eraser: "M8 20h12M4 14l9-9 6 6-8 8H7z",
  polygon: "M5 8l8-4 7 6-3 9H7z",
  box: "M4 6h16v12H4z",
  points: "M12 8a4 4 0 100 8 4 4 0 000-8zM12 2v4M12 18v4M2 12h4M18 12h4",
  skeleton: "M5 6l6 5 7-5M11 11v6l-4 4M11 17l5 4M5 6h.01M18 6h.01M11 11h.01",
  undo: "M9 7L4 11l5 4M4 11h10a5 5 0 010 10h-3",
  redo: "M15 7l5 4-5 4M20 11H10a5 5 0 000 10h3",
  previous: "M15 5l-7 7 7 7",
  next: "M9 5l7 7-7 7",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  check: "M4 12l6 6L20 6",
  eye: "M2 12s4-7 10-7 10 7 10 7-4 7-10 7-10-7-10-7zM12 9a3 3 0 100 6 3 3 0 000-6z",
  hidden: "M3 3l18 18M10 5.5c6-1.5 12 6.5 12 6.5s-1.5 2.5-4 4.5M6 7c-2.5 2-4 5-4 5s4 7 10 7c1.5 0 3-.4 4-1",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13",
  help: "M9 9a3 3 0 116 0c0 2-3 2.5-3 5M12 18h.01",
  theme: "M12 3a9 9 0 100 18zM12 3a9 9 0 010 18",
  back: "M19 12H5M11 6l-6 6 6 6",
};

/** @param {string} name @returns {SVGElement} */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/**
 * Asks a question over the page and waits for one of its answers.
 * @param {string} title @param {(Node | string)[]} body
 * @param {{id: string, text: string, primary?: boolean}[]} answers the last one is given by Escape
 * @returns {Promise<string>}
 */
export function ask(title, body, answers) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { class: "dialog", "aria-label": title }, h("h2", {}, title), ...body);
    const done = (/** @type {string} */ id) => {
      dialog.remove();
      resolve(id);
    };
    dialog.append(h("div", { class: "answers" }, ...answers.map((answer) =>
      h("button", { class: answer.primary ? "primary" : "", "data-answer": answer.id, onclick: () => done(answer.id) }, answer.text))));
    dialog.addEventListener("cancel", () => done(answers[answers.length - 1].id));
    document.body.append(dialog);
    dialog.showModal();
    /** @type {HTMLElement | null} */ (dialog.querySelector(".primary"))?.focus();
  });
}
