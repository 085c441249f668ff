/** The frame of the page around the picture: bars, tools, messages. */

import { fill, h, icon } from "./dom.js";
import { showHelp } from "./help.js";
import { pointersOn } from "./pointers.js";
import { themeButton } from "./taskList.js";

const TOAST_MS = 6000;
const STAGES = ["annotation", "validation", "acceptance"];

export class Layout {
  /** @param {HTMLElement} root @param {import("./editor.js").Editor} editor */
  constructor(root, editor) {
    this.editor = editor;
    this.grabbing = false;
    this.canvas = h("div", { class: "canvas", tabindex: "0", role: "application", "aria-label": "Picture" });
    this.tools = h("nav", { class: "tools", "aria-label": "Tools" });
    this.side = h("aside", { class: "side", "aria-label": "Classes, shapes and view" });
    this.options = h("div", { class: "options" });
    this.hintLine = h("p", { class: "hint", "aria-live": "polite" });
    this.zoomText = h("output", { class: "zoom", "aria-label": "Zoom" });
    this.saveText = h("span", { class: "saving", role: "status" });
    this.frameText = h("span", { class: "frame" });
    this.nameText = h("span", { class: "name" });
    this.jobText = h("span", { class: "job-state" });
    this.completeButton = h("button", { class: "primary complete", onclick: () => editor.complete() });
    this.toasts = h("div", { class: "toasts", "aria-live": "assertive" });
    this.cover = h("div", { class: "cover" });
    this.tooltip = h("div", { class: "tooltip", "aria-hidden": "true" });
    this.slider = h("input", { type: "range", min: 1, max: editor.frames.length, value: 1, "aria-label": "Picture of this job", class: "frames",
      onchange: () => editor.go(Number(this.slider.value) - 1), oninput: () => this.tellFrame(Number(this.slider.value) - 1) });
    this.undoButton = this.button("undo", "Undo (Ctrl Z)", () => editor.undo());
    this.redoButton = this.button("redo", "Redo (Ctrl Shift Z)", () => editor.redo());
    this.stage = h("select", { "aria-label": "Stage of the job", onchange: () => editor.saving.setJob({ stage: this.stage.value, state: editor.job.state }) },
      ...STAGES.map((stage) => h("option", { value: stage }, stage)));
    root.replaceChildren(h("div", { class: "editor" },
      h("header", { class: "bar" }, this.button("back", "All jobs", () => editor.goBack()),
        h("div", { class: "title" }, h("strong", { title: editor.task.name }, editor.task.name), this.jobText), this.stage,
        h("span", { class: "grow" }),
        h("div", { class: "group walk" }, this.button("previous", "Previous picture (D)", () => editor.go(editor.place_ - 1)), this.frameText, this.slider,
          this.button("next", "Next picture (F)", () => editor.go(editor.place_ + 1))),
        h("span", { class: "grow" }), this.saveText, this.completeButton,
        this.button("help", "Keys (?)", () => showHelp(editor.tools)), themeButton()),
      this.tools,
      h("main", { class: "work" }, this.options, h("div", { class: "place" }, this.canvas, this.cover), this.toasts),
      this.side,
      h("footer", { class: "foot" }, this.hintLine, this.nameText, this.zoomText)), this.tooltip);
    this.forget = pointersOn(this);
  }

  /** @param {string} sign @param {string} text @param {() => unknown} action */
  button(sign, text, action) {
    return h("button", { class: "quiet", title: text, "aria-label": text, onclick: action }, icon(sign));
  }

  /** @param {import("./tools/tool.js").Tool[]} tools */
  build(tools) {
    const { editor } = this;
    fill(this.tools,
      ...tools.map((tool) => h("button", { class: "tool", "data-tool": tool.id, title: `${tool.name} (${tool.key})`, "aria-keyshortcuts": tool.key, onclick: () => editor.useTool(tool.id) },
        icon(tool.id), h("span", {}, tool.name), h("kbd", {}, tool.key))),
      h("hr"), h("div", { class: "pair" }, this.undoButton, this.redoButton),
      h("div", { class: "pair" }, this.button("plus", "Zoom in (+)", () => editor.view.zoom(1.25)), this.button("minus", "Zoom out (−)", () => editor.view.zoom(0.8))),
      this.button("fit", "Whole picture (Home)", () => editor.view.fit()));
    this.tellJob();
    this.tellHistory();
  }

  /** Whether the next drag moves the picture, whatever the tool. @param {boolean} grabbing */
  grab(grabbing) {
    this.grabbing = grabbing;
    this.canvas.classList.toggle("grabbing", grabbing);
  }

  tellTool() {
    const { tool } = this.editor;
    for (const button of this.tools.querySelectorAll("[data-tool]")) {
      const on = /** @type {HTMLElement} */ (button).dataset.tool === tool.id;
      button.setAttribute("aria-pressed", String(on));
    }
    this.canvas.style.cursor = tool.cursor;
    this.tellOptions();
  }

  tellOptions() {
    const { editor } = this;
    const { tool, settings } = editor;
    if (tool.id === "brush" || tool.id === "eraser") {
      const range = h("input", { type: "range", min: 0, max: 100, value: 100 * Math.log(settings.brush) / Math.log(500), id: "brush-size",
        oninput: () => { settings.brush = 500 ** (Number(range.value) / 100); editor.setBrush(settings.brush); } });
      const old = this.options.querySelector("#brush-size");
      if (old && document.activeElement === old) {
        this.options.querySelector("output").textContent = `${settings.brush} px`;
        return;
      }
      fill(this.options, h("label", { for: "brush-size" }, "Size"), range, h("output", {}, `${settings.brush} px`));
    } else if (tool.id === "polygon" && editor.selectedShape?.type !== "mask" && editor.labels.byId.get(editor.labelId)?.type === "any") {
      const choice = h("select", { id: "outline-type", onchange: () => { settings.outline = choice.value; editor.applyView(); } },
        h("option", { value: "mask", selected: editor.outlineType === "mask" }, "mask"), h("option", { value: "polygon", selected: editor.outlineType === "polygon" }, "polygon"));
      fill(this.options, h("label", { for: "outline-type" }, "A new outline becomes a"), choice);
    } else fill(this.options);
  }

  tellHistory() {
    const history = this.editor.annotations.history(this.editor.frame);
    this.undoButton.disabled = !history.done.length;
    this.redoButton.disabled = !history.undone.length;
  }

  /** @param {number} [place] that the slider points at */
  tellFrame(place = this.editor.place_) {
    const { editor } = this;
    this.frameText.textContent = `${place + 1} of ${editor.frames.length}`;
    this.slider.value = String(place + 1);
    this.nameText.textContent = editor.sizeOf(editor.frames[place])?.name ?? "";
    document.title = `${place + 1}/${editor.frames.length} · ${editor.task.name}`;
    this.tellHistory();
  }

  tellJob() {
    const { job } = this.editor;
    const completed = job.state === "completed";
    this.jobText.textContent = `Job ${job.id} · ${job.state}`;
    this.stage.value = job.stage;
    this.completeButton.dataset.state = job.state;
    fill(this.completeButton, icon(completed ? "undo" : "check"), h("span", {}, completed ? "Open again" : "Complete"));
  }

  /** @param {string} state @param {string} text */
  tellSaving(state, text) {
    this.saveText.dataset.state = state;
    this.saveText.title = text;
    fill(this.saveText, h("span", { class: "sign", "aria-hidden": "true" }, { saved: "✓", unsaved: "●", saving: "…", failed: "!", refused: "!" }[state] ?? ""), ` ${text}`);
  }

  /** @param {number} scale */
  tellZoom(scale) {
    this.zoomText.textContent = `${scale < 0.1 ? (100 * scale).toFixed(1) : Math.round(100 * scale)} %`;
  }

  /** @param {string} text */
  hint(text) {
    if (this.hintLine.textContent !== text) this.hintLine.textContent = text;
  }

  /** @param {boolean} busy @param {string} [text] */
  busy(busy, text = "Loading the picture…") {
    fill(this.cover, busy && h("p", {}, text));
    this.cover.hidden = !busy;
    if (busy) delete this.canvas.dataset.ready;
  }

  /** @param {string} text @param {() => unknown} [again] */
  trouble(text, again) {
    this.cover.hidden = false;
    fill(this.cover, h("p", { class: "error", role: "alert" }, text), again && h("button", { onclick: again }, "Try again"));
  }

  /** @param {string} text @param {boolean} [stays] until it is closed */
  toast(text, stays = false) {
    const toast = h("div", { class: "toast" }, text, stays && h("button", { class: "quiet", onclick: () => toast.remove() }, "OK"));
    this.toasts.append(toast);
    if (!stays) setTimeout(() => toast.remove(), TOAST_MS);
  }

  /** @param {string | null} text @param {PointerEvent} [event] */
  tip(text, event) {
    this.tooltip.hidden = !text;
    if (!text || !event) return;
    this.tooltip.textContent = text;
    this.tooltip.style.left = `${event.clientX + 14}px`;
    this.tooltip.style.top = `${event.clientY + 16}px`;
  }

  focusSelected() {
    const { editor } = this;
    const shape = editor.selectedShape;
    if (!shape) return;
    const points = shape.type === "mask" ? shape.points.slice(-4) : shape.type === "skeleton" ? shape.elements.filter((e) => !e.outside).flatMap((e) => e.points) : shape.points;
    const [xs, ys] = [points.filter((_, i) => i % 2 === 0), points.filter((_, i) => i % 2 === 1)];
    if (xs.length) editor.view.focus([Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)]);
  }
}
