/**
 * What a tool is, and what it may ask of the editor.
 *
 * @typedef {{x: number, y: number}} Point in the picture
 * @typedef {import("../editor.js").Editor} Editor
 */

export class Tool {
  /** @param {Editor} editor */
  constructor(editor) {
    this.editor = editor;
    this.id = "";
    this.name = "";
    this.key = "";
    this.cursor = "crosshair";
    /** Whether it only takes clicks: a finger that moves then moves the picture. */
    this.taps = false;
  }

  /** What to do now, in a sentence. @returns {string} */
  get hint() {
    return "";
  }

  /** @param {Point} point @param {PointerEvent} event */
  down(point, event) {
    void point, event;
  }

  /** @param {Point} point @param {PointerEvent} event @param {boolean} pressed */
  move(point, event, pressed) {
    void point, event, pressed;
  }

  /** @param {Point} point @param {PointerEvent} event */
  up(point, event) {
    void point, event;
  }

  /** @param {KeyboardEvent} event @returns {boolean} whether the tool has used the key */
  press(event) {
    void event;
    return false;
  }

  /** Gives up what is half done. @returns {boolean} whether there was something */
  cancel() {
    return false;
  }

  leave() {
    this.cancel();
    this.editor.view.marks.destroyChildren();
    this.editor.view.markLayer.batchDraw();
  }
}
