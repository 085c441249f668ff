/** The keyboard: as on CVAT's own page where that has a key for the same. */

import { showHelp } from "./help.js";

/** @param {import("./editor.js").Editor} editor @returns {() => void} stops listening */
export function keysOf(editor) {
  const down = (/** @type {KeyboardEvent} */ event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (document.querySelector("dialog[open]")) return;
    const typing = target.matches("input:not([type=range]):not([type=checkbox]), textarea, select");
    if (typing && !(event.ctrlKey && event.key.toLowerCase() === "s")) return;
    if (event.code === "Space" && !target.matches("button, a, summary")) {
      event.preventDefault();
      editor.layout.grab(true);
      return;
    }
    if (event.ctrlKey || event.metaKey) {
      const action = withControl(editor, event);
      if (action) {
        event.preventDefault();
        action();
      }
      return;
    }
    if (event.altKey) return;
    if (event.key === "Enter" && target.matches("button, a, summary")) return;
    if (event.key.startsWith("Arrow") && target.matches("input")) return;
    if (editor.tool.press(event)) {
      event.preventDefault();
      return;
    }
    const action = plain(editor, event);
    if (action) {
      event.preventDefault();
      action();
    }
  };
  const up = (/** @type {KeyboardEvent} */ event) => {
    if (event.code === "Space") editor.layout.grab(false);
  };
  window.addEventListener("keydown", down);
  window.addEventListener("keyup", up);
  return () => {
    window.removeEventListener("keydown", down);
    window.removeEventListener("keyup", up);
  };
}

/** @param {import("./editor.js").Editor} editor @param {KeyboardEvent} event @returns {(() => unknown) | null} */
function withControl(editor, event) {
  switch (event.key.toLowerCase()) {
    case "z": return () => (event.shiftKey ? editor.redo() : editor.undo());
    case "y": return () => editor.redo();
    case "s": return () => editor.saving.now();
    case "enter": return () => editor.complete();
    default: return null;
  }
}

/** @param {import("./editor.js").Editor} editor @param {KeyboardEvent} event @returns {(() => unknown) | null} */
function plain(editor, event) {
  const step = event.shiftKey ? 10 : 1;
  const arrows = /** @type {Record<string, [number, number]>} */ ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] });
  const arrow = arrows[event.key];
  if (arrow) return () => editor.nudge(arrow[0] * step, arrow[1] * step) || editor.view.pan(-60 * arrow[0], -60 * arrow[1]);
  const tool = editor.tools.find(({ key }) => key === event.key.toUpperCase());
  if (tool) return () => editor.useTool(tool.id);
  const label = editor.labels.all.find(({ key }) => key && key === event.key);
  if (label) return () => editor.setLabel(label.id);
  switch (event.key) {
    case "?": return () => showHelp(editor.tools);
    case "Escape": return () => escape(editor);
    case "f": case "F": case "PageDown": return () => editor.go(editor.place_ + 1);
    case "d": case "D": case "PageUp": return () => editor.go(editor.place_ - 1);
    case "q": case "Q": return () => editor.toggle("occluded");
    case "o": case "O": return () => editor.toggle("outside");
    case "h": case "H": return () => editor.showMasks(!editor.masksShown);
    case ".": return () => editor.selectNext(1);
    case ",": return () => editor.selectNext(-1);
    case "Delete": case "Backspace": return () => editor.remove();
    case "Home": case "0": return () => editor.view.fit();
    case "z": case "Z": return () => editor.layout.focusSelected();
    case "+": case "=": return () => editor.view.zoom(1.25);
    case "-": return () => editor.view.zoom(0.8);
    default: return null;
  }
}

/** @param {import("./editor.js").Editor} editor */
function escape(editor) {
  if (editor.tool.cancel()) return;
  if (editor.placing) {
    editor.placing = 0;
    editor.draw();
  } else if (editor.selection.key) editor.select(null, null);
  else editor.useTool("select");
}
