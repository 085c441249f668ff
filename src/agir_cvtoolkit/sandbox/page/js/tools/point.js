/** Places single points; after each, the next class of points that the picture lacks. */

import { Tool } from "./tool.js";
import { newShape } from "../document.js";

export class PointTool extends Tool {
  id = "points";
  name = "Point";
  key = "K";

  get hint() {
    const label = this.editor.labelFor("points", false);
    return label ? `Click where ${this.editor.labels.name(label)} is. Number keys or the list choose another class.` : "This job has no class for points.";
  }

  /** @param {import("./tool.js").Point} point */
  down(point) {
    const { editor } = this;
    const label = editor.labelFor("points");
    if (!label) return;
    const { x, y } = editor.view.inside(point);
    editor.add(newShape("points", editor.frame, label, [x, y]));
    const there = new Set(editor.annotations.on(editor.frame).map(([, shape]) => shape.label_id));
    const fitting = editor.labels.fitting("points");
    const place = fitting.findIndex(({ id }) => id === label);
    const next = [...fitting.slice(place + 1), ...fitting.slice(0, place)].find(({ id, type }) => type === "points" && !there.has(id));
    if (next) editor.setLabel(next.id);
  }
}
