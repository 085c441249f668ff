/**
 * The classes of a job: names, colours, patterns, keys, and what a skeleton's drawing says.
 *
 * @typedef {{id: number, name: string, color: string, type: string, attributes: any[], sublabels: any[], svg?: string,
 *   key: string, pattern: number}} Label
 * @typedef {{places: Map<number, [number, number]>, edges: [number, number][]}} Drawing joints and lines by sublabel
 */

export const PATTERNS = 6;

export class Labels {
  /** @param {any[]} raw as the server gives them */
  constructor(raw) {
    /** @type {Label[]} */
    this.all = raw.map((label, index) => ({ ...label, key: index < 9 ? String(index + 1) : "", pattern: index % PATTERNS }));
    /** @type {Map<number, Label>} */
    this.byId = new Map(this.all.map((label) => [label.id, label]));
    /** @type {Map<number, any>} */
    this.parts = new Map(raw.flatMap((label) => (label.sublabels ?? []).map((/** @type {any} */ part) => [part.id, part])));
    /** @type {Map<number, Drawing>} */
    this.drawings = new Map();
  }

  /** @param {number} id @returns {string} */
  name(id) {
    return (this.byId.get(id) ?? this.parts.get(id))?.name ?? `label ${id}`;
  }

  /** @param {number} id @returns {string} a colour that CSS can be given safely */
  color(id) {
    const color = (this.byId.get(id) ?? this.parts.get(id))?.color ?? "";
    return /^#[0-9a-f]{6}$/i.test(color) ? color : "#d94f8a";
  }

  /** @param {number} id @returns {string} the colour of its lines: a dark one is lightened, as grounds are dark more often than not */
  lineColor(id) {
    const color = this.color(id);
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
    return 0.3 * red + 0.59 * green + 0.11 * blue < 110 ? `rgb(${[red, green, blue].map((value) => (value + 255) >> 1).join(" ")})` : color;
  }

  /** @param {number} id @returns {{spec_id: number, value: string}[]} the values that a new shape has */
  defaults(id) {
    const found = (this.byId.get(id) ?? this.parts.get(id))?.attributes ?? [];
    return found.map((/** @type {any} */ spec) => ({ spec_id: spec.id, value: spec.default_value }));
  }

  /** @param {string} type of a shape @returns {Label[]} the classes that such a shape may have */
  fitting(type) {
    return this.all.filter((label) => label.type === "any" ? type !== "skeleton" : label.type === type);
  }

  /** @param {Label} label @returns {Drawing} */
  drawing(label) {
    let found = this.drawings.get(label.id);
    if (!found) this.drawings.set(label.id, (found = readDrawing(label)));
    return found;
  }
}

/** @param {Label} label @returns {Drawing} */
function readDrawing(label) {
  // Parsed apart from the page, so nothing in it runs; only numbers are read.
  const parsed = new DOMParser().parseFromString(`<svg xmlns="http://www.w3.org/2000/svg">${label.svg ?? ""}</svg>`, "image/svg+xml");
  /** @type {Map<string, number>} */
  const nodes = new Map();
  /** @type {Drawing} */
  const drawing = { places: new Map(), edges: [] };
  const byName = new Map(label.sublabels.map((part) => [part.name, part.id]));
  const number = (/** @type {Element} */ element, /** @type {string} */ name) => Number(element.getAttribute(name)) || 0;
  for (const circle of parsed.querySelectorAll("circle")) {
    const id = Number(circle.getAttribute("data-label-id")) || byName.get(circle.getAttribute("data-label-name") ?? "");
    if (!id) continue;
    nodes.set(circle.getAttribute("data-node-id") ?? "", id);
    drawing.places.set(id, [number(circle, "cx"), number(circle, "cy")]);
  }
  for (const line of parsed.querySelectorAll("line")) {
    const from = nodes.get(line.getAttribute("data-node-from") ?? "");
    const to = nodes.get(line.getAttribute("data-node-to") ?? "");
    if (from && to) drawing.edges.push([from, to]);
  }
  label.sublabels.forEach((part, index) => {
    const turn = (2 * Math.PI * index) / label.sublabels.length;
    if (!drawing.places.has(part.id)) drawing.places.set(part.id, [50 + 40 * Math.cos(turn), 50 + 40 * Math.sin(turn)]);
  });
  return drawing;
}
