/** Paints on masks, or erases from them. */

import { Tool } from "./tool.js";
import { box, combine, encode, stroke } from "../spans.js";

const Konva = /** @type {any} */ (globalThis).Konva;

export class BrushTool extends Tool {
  /** @param {import("./tool.js").Editor} editor @param {boolean} adds */
  constructor(editor, adds) {
    super(editor);
    this.adds = adds;
    this.id = adds ? "brush" : "eraser";
    this.name = adds ? "Brush" : "Eraser";
    this.key = adds ? "B" : "E";
    this.cursor = "none";
    /** @type {{key: string | null, mask: import("../spans.js").Mask, last: import("./tool.js").Point} | null} */
    this.work = null;
    this.rings = [new Konva.Circle({ stroke: "#000", strokeWidth: 3, strokeScaleEnabled: false }),
      new Konva.Circle({ stroke: "#fff", strokeWidth: 1.5, strokeScaleEnabled: false, dash: adds ? undefined : [4, 4] })];
  }

  get hint() {
    const { selectedShape, labels, labelId } = this.editor;
    const size = `[ and ] change its size (${this.editor.settings.brush} px).`;
    if (selectedShape?.type === "mask") return `${this.adds ? "Paint on" : "Erase from"} the selected ${labels.name(selectedShape.label_id)}. ${size} Escape lets go of it.`;
    return this.adds ? `Paint a new ${labels.name(labelId)}, or select a mask first to paint on it. ${size}` : `Erase from the mask where you begin. ${size}`;
  }

  /** @param {import("./tool.js").Point} point @param {PointerEvent} event */
  down(point, event) {
    const { editor } = this;
    let key = editor.selectedShape?.type === "mask" ? editor.selection.key : null;
    if (!key && !this.adds) key = editor.maskAt(point);
    if (!key && !this.adds) return;
    if (!key && !editor.labelFor("mask")) return;
    const mask = key ? editor.maskOf(key) : new Array(/** @type {any} */ (editor.view.picture).height);
    if (!mask) return;
    this.work = { key, mask: [...mask], last: point };
    editor.beginMask(key, this.work.mask);
    this.paint(point);
    this.move(point, event, true);
  }

  /** @param {import("./tool.js").Point} point @param {PointerEvent} event @param {boolean} pressed */
  move(point, event, pressed) {
    const { editor } = this;
    if (pressed && this.work) {
      const steps = event.getCoalescedEvents?.() ?? [];
      for (const step of steps.length ? steps : [event]) this.paint(editor.view.at(step));
    }
    if (!this.rings[0].getLayer()) editor.view.marks.add(...this.rings);
    for (const ring of this.rings) ring.setAttrs({ ...point, radius: editor.settings.brush / 2 });
    editor.view.markLayer.batchDraw();
  }

  /** @param {import("./tool.js").Point} point */
  paint(point) {
    const { editor } = this;
    const work = /** @type {any} */ (this.work);
    const { width, height } = /** @type {any} */ (editor.view.picture);
    const radius = editor.settings.brush / 2;
    combine(work.mask, stroke(work.last.x, work.last.y, point.x, point.y, radius, width, height), this.adds);
    const [left, right] = [work.last.x, point.x].sort((a, b) => a - b);
    const [top, bottom] = [work.last.y, point.y].sort((a, b) => a - b);
    work.last = point;
    editor.touchMask([left - radius, top - radius, right + radius, bottom + radius]);
  }

  up() {
    const { work } = this;
    this.work = null;
    if (work) this.editor.endMask(work.key, box(work.mask) ? encode(work.mask) : null, this.adds);
  }

  /** @param {KeyboardEvent} event @returns {boolean} */
  press(event) {
    if (event.key !== "[" && event.key !== "]") return false;
    this.editor.setBrush(this.editor.settings.brush * (event.key === "]" ? 1.25 : 0.8));
    for (const ring of this.rings) ring.radius(this.editor.settings.brush / 2);
    return true;
  }

  cancel() {
    if (!this.work) return false;
    this.work = null;
    this.editor.dropMask();
    return true;
  }
}
