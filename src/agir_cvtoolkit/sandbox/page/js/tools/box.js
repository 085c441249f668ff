/** Draws a box from corner to corner; a skeleton is put into such a box as its class draws it. */

import { Tool } from "./tool.js";
import { newElement, newShape } from "../document.js";

const Konva = /** @type {any} */ (globalThis).Konva;
const LEAST = 3;

export class BoxTool extends Tool {
  /** @param {import("./tool.js").Editor} editor @param {"rectangle" | "skeleton"} type */
  constructor(editor, type) {
    super(editor);
    this.type = type;
    this.id = type === "rectangle" ? "box" : "skeleton";
    this.name = type === "rectangle" ? "Box" : "Skeleton";
    this.key = type === "rectangle" ? "R" : "S";
    /** @type {import("./tool.js").Point | null} */
    this.first = null;
    this.nodes = [new Konva.Rect({ stroke: "#000", strokeWidth: 4, strokeScaleEnabled: false }),
      new Konva.Rect({ stroke: "#fff", strokeWidth: 2, strokeScaleEnabled: false, dash: [6, 4] })];
  }

  get hint() {
    return this.type === "rectangle" ? `Drag a box around a ${this.editor.labels.name(this.editor.labelId)}, from corner to corner.`
      : "Drag a box around the animal: the skeleton is put into it, then drag each joint to its place.";
  }

  /** @param {import("./tool.js").Point} point */
  down(point) {
    this.first = this.editor.view.inside(point);
  }

  /** @param {import("./tool.js").Point} point @param {PointerEvent} _event @param {boolean} pressed */
  move(point, _event, pressed) {
    if (!pressed || !this.first) return;
    const [x1, y1, x2, y2] = this.corners(point);
    if (!this.nodes[0].getLayer()) this.editor.view.marks.add(...this.nodes);
    for (const node of this.nodes) node.setAttrs({ x: x1, y: y1, width: x2 - x1, height: y2 - y1 });
    this.editor.view.markLayer.batchDraw();
  }

  /** @param {import("./tool.js").Point} point */
  up(point) {
    if (!this.first) return;
    const corners = this.corners(point);
    this.cancel();
    const { editor } = this;
    if (Math.min(corners[2] - corners[0], corners[3] - corners[1]) * editor.view.scale < LEAST) return;
    const label = editor.labelFor(this.type);
    if (!label) return;
    if (this.type === "rectangle") editor.add(newShape("rectangle", editor.frame, label, corners));
    else editor.add(this.skeleton(label, corners));
  }

  /** @param {number} labelId @param {number[]} corners */
  skeleton(labelId, [x1, y1, x2, y2]) {
    const { editor } = this;
    const label = /** @type {import("../labels.js").Label} */ (editor.labels.byId.get(labelId));
    const { places } = editor.labels.drawing(label);
    const xs = [...places.values()].map(([x]) => x);
    const ys = [...places.values()].map(([, y]) => y);
    const scaled = (/** @type {number} */ value, /** @type {number[]} */ all, /** @type {number} */ from, /** @type {number} */ upTo) => {
      const [least, most] = [Math.min(...all), Math.max(...all)];
      return most > least ? from + ((value - least) / (most - least)) * (upTo - from) : (from + upTo) / 2;
    };
    const shape = newShape("skeleton", editor.frame, labelId, []);
    shape.elements = label.sublabels.map((part) => {
      const [x, y] = /** @type {[number, number]} */ (places.get(part.id));
      const points = [scaled(x, xs, x1, x2), scaled(y, ys, y1, y2)];
      return newElement(part.id, editor.frame, { points, attributes: editor.labels.defaults(part.id) });
    });
    return shape;
  }

  /** @param {import("./tool.js").Point} point @returns {number[]} */
  corners(point) {
    const [one, two] = [/** @type {import("./tool.js").Point} */ (this.first), this.editor.view.inside(point)];
    return [Math.min(one.x, two.x), Math.min(one.y, two.y), Math.max(one.x, two.x), Math.max(one.y, two.y)];
  }

  cancel() {
    if (!this.first) return false;
    this.first = null;
    for (const node of this.nodes) node.remove();
    this.editor.view.markLayer.batchDraw();
    return true;
  }
}
