/** Selects a shape, and moves what is selected; shapes and joints listen for themselves, masks are looked up. */

import { Tool } from "./tool.js";

export class SelectTool extends Tool {
  id = "select";
  name = "Select";
  key = "V";
  cursor = "default";

  get hint() {
    const shape = this.editor.selectedShape;
    if (this.editor.placing) return `Click where ${this.editor.labels.name(this.editor.placing)} is. Escape leaves it absent.`;
    if (!shape) return "Click a shape to select it. Drag the ground to move the picture, turn the wheel to zoom.";
    if (shape.type === "skeleton") return "Drag a joint. Q marks it as occluded, O as absent; a click on an absent joint in the list places it.";
    if (shape.type === "mask") return "B paints, E erases, P adds or takes away an outline. Number keys change the class, Delete removes it.";
    if (shape.type === "points") return "Drag the point. Q marks it as occluded, Delete removes it.";
    return "Drag its corners. Number keys change the class, Delete removes it.";
  }

  /** @param {import("./tool.js").Point} point @param {PointerEvent} event */
  down(point, event) {
    const { editor } = this;
    if (editor.placing) {
      editor.place(point);
      return;
    }
    // A shape that was hit has selected itself; here are only masks and ground.
    if (editor.view.stage.getIntersection(editor.screen(event))) return;
    this.pressed = { x: event.clientX, y: event.clientY, moved: false };
  }

  /** @param {import("./tool.js").Point} point @param {PointerEvent} event @param {boolean} down */
  move(point, event, down) {
    if (!down) {
      this.editor.hoverMask(point, event);
      return;
    }
    const { pressed } = this;
    if (!pressed) return;
    const [dx, dy] = [event.clientX - pressed.x, event.clientY - pressed.y];
    if (!pressed.moved && Math.hypot(dx, dy) < 4) return;
    this.pressed = { x: event.clientX, y: event.clientY, moved: true };
    this.editor.view.pan(dx, dy);
  }

  /** @param {import("./tool.js").Point} point */
  up(point) {
    if (this.pressed && !this.pressed.moved) this.editor.select(this.editor.maskAt(point, true), null);
    this.pressed = undefined;
  }

  cancel() {
    this.pressed = undefined;
    return false;
  }

  /** @type {{x: number, y: number, moved: boolean} | undefined} */
  pressed = undefined;
}
