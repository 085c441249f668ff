/** The keys, laid over the page. */

import { h } from "./dom.js";

const REST = [
  ["Work", [["1 … 9", "Class of the selected or next shape"], ["Q", "Occluded, or visible again"], ["O", "Absent, or placed again"], ["Delete", "Remove the selected shape"],
    ["Arrows", "Move by one pixel, with Shift by ten"], ["Comma or period", "Previous, next shape"], ["[ ]", "Smaller, larger brush"], ["Shift", "With an outline: takes the area away"], ["Escape", "Let go"]]],
  ["Look", [["Wheel, + −", "Zoom"], ["Space or middle button", "Drag the picture"], ["Two fingers", "Zoom and move"], ["Home or 0", "Whole picture"], ["Z", "Zoom to the selected shape"], ["H", "Hide or show all shapes"]]],
  ["Job", [["F, Page down", "Next picture"], ["D, Page up", "Previous picture"], ["Ctrl Z", "Undo"], ["Ctrl Shift Z, Ctrl Y", "Redo"], ["Ctrl S", "Save now (it saves by itself)"],
    ["Ctrl Enter", "Complete the job"], ["?", "This help"]]],
];

/** @param {{name: string, key: string}[]} tools */
export function showHelp(tools) {
  const groups = /** @type {[string, string[][]][]} */ ([["Tools", tools.map(({ name, key }) => [key, name])], ...REST]);
  const dialog = h("dialog", { class: "dialog help", "aria-label": "Keys" }, h("h2", {}, "Keys"),
    h("div", { class: "keys" }, ...groups.map(([title, rows]) => h("section", {}, h("h3", {}, title),
      h("dl", {}, ...rows.flatMap(([key, text]) => [h("dt", {}, ...key.split(/(, | or )/).map((part) => (/^(, | or )$/.test(part) ? part : h("kbd", {}, part)))), h("dd", {}, text)]))))),
    h("div", { class: "answers" }, h("button", { class: "primary", onclick: () => dialog.close() }, "Close")));
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (/** @type {Event} */ event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}
