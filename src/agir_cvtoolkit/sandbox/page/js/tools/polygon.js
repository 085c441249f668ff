/** Outlines, corner by corner: a new polygon or mask, or an area added to the selected mask or taken from it. */

import { Tool } from "./tool.js";
import { combine, encode, inside } from "../spans.js";
import { newShape } from "../document.js";

const Konva = /** @type {any} */ (globalThis).Konva;
const NEAR = 10;
const FINGER = 22;

export class PolygonTool extends Tool {
  id = "polygon";
  name = "Outline";
  key = "P";
  taps = true;
  /** @type {number[]} */
  points = [];
  line = new Konva.Line({ stroke: "#fff", strokeWidth: 2, strokeScaleEnabled: false });
  shade = new Konva.Line({ stroke: "#000", strokeWidth: 4, strokeScaleEnabled: false });
  start = new Konva.Circle({ fill: "#fff", stroke: "#000", strokeWidth: 1, strokeScaleEnabled: false });

  get hint() {
    if (this.points.length) return "Click corner after corner; click the first one again, double-click or press Enter to close. Backspace takes the last one back.";
    const { selectedShape, labels, labelId, outlineType } = this.editor;
    if (selectedShape?.type === "mask") return `Outline an area to add to the selected ${labels.name(selectedShape.label_id)}; with Shift it is taken away.`;
    return `Outline a new ${outlineType === "mask" ? "mask" : "polygon"} of ${labels.name(labelId)}, corner by corner.`;
  }

  /** @param {import("./tool.js").Point} point @param {PointerEvent} event */
  down(point, event) {
    const { view } = this.editor;
    const { points } = this;
    const onStart = points.length >= 6 && Math.hypot(point.x - points[0], point.y - points[1]) * view.scale < (event.pointerType === "touch" ? FINGER : NEAR);
    const twice = points.length >= 6 && Math.hypot(point.x - points[points.length - 2], point.y - points[points.length - 1]) * view.scale < 3;
    if (onStart || twice) {
      this.close(event.shiftKey);
      return;
    }
    const { x, y } = view.inside(point);
    points.push(x, y);
    this.draw(point);
    this.editor.tellHint();
  }

  /** @param {import("./tool.js").Point} point */
  move(point) {
    if (this.points.length) this.draw(point);
  }

  /** @param {import("./tool.js").Point} point */
  draw(point) {
    const { view } = this.editor;
    if (!this.line.getLayer()) view.marks.add(this.shade, this.line, this.start);
    for (const line of [this.line, this.shade]) line.points([...this.points, point.x, point.y]);
    this.start.setAttrs({ x: this.points[0], y: this.points[1], radius: 5 / view.scale });
    view.markLayer.batchDraw();
  }

  /** @param {boolean} takesAway */
  close(takesAway) {
    const { editor, points } = this;
    const { width, height } = /** @type {any} */ (editor.view.picture);
    this.cancel();
    const key = editor.selection.key;
    const old = editor.selectedShape?.type === "mask" ? editor.maskOf(/** @type {string} */ (key)) : null;
    if (key && old) {
      const mask = [...old];
      combine(mask, inside(points, width, height), !takesAway);
      editor.replaceMask(key, encode(mask));
      return;
    }
    const type = editor.outlineType;
    const label = editor.labelFor(type);
    if (!label) return;
    /** @type {import("../spans.js").Mask} */
    const mask = new Array(height);
    combine(mask, inside(points, width, height), true);
    const runs = type === "mask" ? encode(mask) : points;
    if (runs) editor.add(newShape(type, editor.frame, label, runs));
  }

  /** @param {KeyboardEvent} event @returns {boolean} */
  press(event) {
    if (!this.points.length) return false;
    if (event.key === "Enter" && this.points.length >= 6) this.close(event.shiftKey);
    else if (event.key === "Backspace") {
      this.points.splice(-2);
      if (this.points.length) this.line.points(this.points), this.shade.points(this.points);
      else this.cancel();
      this.editor.view.markLayer.batchDraw();
    } else return false;
    return true;
  }

  cancel() {
    if (!this.points.length) return false;
    this.points = [];
    for (const node of [this.line, this.shade, this.start]) node.remove();
    this.editor.view.markLayer.batchDraw();
    this.editor.tellHint();
    return true;
  }
}
