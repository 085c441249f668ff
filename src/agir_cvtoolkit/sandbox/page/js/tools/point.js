/** Places single points; after each, the next class of points that the picture lacks. */

import { Tool } from "./tool.js";
import { newShape } from "../document.js";

export class PointTool extends Tool {
  id = "points";
  name = "Point";
  key = "K";
  taps = true;
  /** The point that was placed last. @type {string | null} */
  last = null;

  get hint() {
    const label = this.editor.labelFor("points", false);
    if (!label) return "This job has no class for points.";
    return `Click where ${this.editor.labels.name(label)} is. O leaves it out, Q marks the point before as occluded; keys and list choose another class.`;
  }

  /** @param {import("./tool.js").Point} point */
  down(point) {
    const { editor } = this;
    const label = editor.labelFor("points");
    if (!label) return;
    const { x, y } = editor.view.inside(point);
    this.last = editor.add(newShape("points", editor.frame, label, [x, y]));
    this.advance(label);
  }

  /** @param {KeyboardEvent} event @returns {boolean} */
  press(event) {
    const { editor } = this;
    const shape = editor.annotations.get(this.last);
    if (event.key === "q" && this.last && shape?.frame === editor.frame) editor.annotations.change(this.last, { occluded: !shape.occluded });
    else if (event.key === "o" && !editor.selection.key) this.advance(editor.labelFor("points"));
    else return false;
    return true;
  }

  /** Goes on to the next class of points that the picture lacks. @param {number} label */
  advance(label) {
    const { editor } = this;
    const there = new Set(editor.annotations.on(editor.frame).map(([, shape]) => shape.label_id));
    const fitting = editor.labels.fitting("points");
    const place = fitting.findIndex(({ id }) => id === label);
    const next = [...fitting.slice(place + 1), ...fitting.slice(0, place)].find(({ id, type }) => type === "points" && !there.has(id));
    if (next) editor.setLabel(next.id);
  }
}
