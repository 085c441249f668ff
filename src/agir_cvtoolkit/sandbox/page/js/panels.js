/** The side: classes with their keys, what the selected shape is, the shapes of the picture, and how it is looked at. */

import { fill, h, icon } from "./dom.js";
import { swatch } from "./swatch.js";

const SOURCES = /** @type {Record<string, string>} */ ({ auto: "proposal", "semi-auto": "corrected", manual: "drawn", file: "imported" });
const STATES = /** @type {const} */ ([["visible", "●", "Visible"], ["occluded", "◌", "Occluded (Q)"], ["absent", "✕", "Absent (O)"]]);

export class Panels {
  /** @param {import("./editor.js").Editor} editor */
  constructor(editor) {
    this.editor = editor;
    this.classes = h("div", { class: "classes", role: "radiogroup", "aria-label": "Class" });
    this.selected = h("section", { class: "panel selected", "aria-label": "Selected shape" });
    this.shapesTitle = h("h2", {});
    this.shapes = h("ul", { class: "shapes" });
    this.notes = h("p", { class: "note" });
    this.masksBox = h("input", { type: "checkbox", checked: true, onchange: () => editor.showMasks(this.masksBox.checked) });
    fill(editor.layout.side,
      h("section", { class: "panel" }, h("h2", {}, "Classes"), this.classes),
      this.selected,
      h("section", { class: "panel" }, this.shapesTitle, this.shapes, this.notes),
      this.viewPanel());
    this.drawn = "";
  }

  viewPanel() {
    const { settings } = this.editor;
    const slider = (/** @type {"opacity" | "brightness" | "contrast"} */ name, /** @type {string} */ text, /** @type {number} */ least, /** @type {number} */ most) => {
      const input = h("input", { type: "range", id: `view-${name}`, min: least, max: most, step: 0.05, value: settings[name],
        oninput: () => this.set(name, Number(input.value)) });
      return [h("label", { for: `view-${name}` }, text), input];
    };
    const patterns = h("input", { type: "checkbox", checked: settings.patterns, onchange: () => { settings.patterns = patterns.checked; this.drawn = ""; this.editor.applyView(); } });
    const grid = h("div", { class: "sliders" }, ...slider("opacity", "Opacity", 0.05, 1), ...slider("brightness", "Brightness", 0.3, 3), ...slider("contrast", "Contrast", 0.3, 3));
    return h("section", { class: "panel" }, h("h2", {}, "View"), h("label", { class: "check" }, this.masksBox, "Shapes ", h("kbd", {}, "H")),
      h("label", { class: "check" }, patterns, "Patterns in masks"), grid,
      h("button", { class: "small", onclick: () => {
        Object.assign(settings, { opacity: 0.35, brightness: 1, contrast: 1 });
        for (const name of ["opacity", "brightness", "contrast"]) grid.querySelector(`#view-${name}`).value = /** @type {any} */ (settings)[name];
        this.editor.applyView();
      } }, "As it was"));
  }

  /** @param {"opacity" | "brightness" | "contrast"} name @param {number} value */
  set(name, value) {
    this.editor.settings[name] = value;
    this.editor.applyView();
  }

  draw() {
    const { editor } = this;
    this.masksBox.checked = editor.masksShown;
    const items = editor.view.picture ? editor.annotations.on(editor.frame) : [];
    const state = JSON.stringify([editor.frame, editor.labelId, editor.selection, editor.placing, [...editor.hidden], editor.settings.patterns,
      items.map(([key, shape]) => [key, shape.label_id, shape.source, shape.occluded, shape.type])]);
    const shape = editor.selectedShape;
    if (state === this.drawn && shape === this.shape) return;
    this.drawn = state;
    this.shape = shape;
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset.focus;
    this.drawClasses();
    this.drawSelected(shape);
    this.drawShapes(items);
    if (focused) /** @type {HTMLElement | null} */ (editor.layout.side.querySelector(`[data-focus="${focused}"]`))?.focus();
  }

  drawClasses() {
    const { editor } = this;
    fill(this.classes, ...editor.labels.all.map((label) => h("button", { class: "class", role: "radio", "aria-checked": String(label.id === editor.labelId),
      "data-label": label.id, "data-focus": `class-${label.id}`, title: label.type === "any" ? "" : `for ${label.type}`, onclick: () => editor.setLabel(label.id) },
    swatch(editor.labels.color(label.id), editor.patternOf(label.id)), h("span", { class: "text" }, label.name), label.key && h("kbd", {}, label.key))));
  }

  /** @param {import("./document.js").Shape | undefined} shape */
  drawSelected(shape) {
    const { editor } = this;
    this.selected.hidden = !shape;
    if (!shape) return;
    const key = /** @type {string} */ (editor.selection.key);
    fill(this.selected, h("h2", {}, editor.labels.name(shape.label_id), h("small", {}, ` ${shape.type}, ${SOURCES[shape.source] ?? shape.source}`)),
      shape.type === "skeleton" ? this.joints(shape) : shape.type !== "mask" && h("label", { class: "check" },
        h("input", { type: "checkbox", checked: shape.occluded, "data-focus": "occluded", onchange: () => editor.toggle("occluded") }), "Occluded ", h("kbd", {}, "Q")),
      this.attributes(key, shape),
      h("div", { class: "answers" }, h("button", { class: "small", onclick: () => editor.layout.focusSelected() }, "Zoom to it"),
        h("button", { class: "small danger", onclick: () => editor.remove() }, icon("trash"), "Remove")));
  }

  /** @param {import("./document.js").Shape} shape */
  joints(shape) {
    const { editor } = this;
    const label = editor.labels.byId.get(shape.label_id);
    const byLabel = new Map(shape.elements.map((element) => [element.label_id, element]));
    return h("ul", { class: "joints" }, ...(label?.sublabels ?? []).map((part) => {
      const element = byLabel.get(part.id);
      const now = !element || element.outside ? "absent" : element.occluded ? "occluded" : "visible";
      const chosen = editor.selection.part === part.id;
      return h("li", { class: chosen ? "chosen" : "", "data-joint": part.name, "data-state": editor.placing === part.id ? "placing" : now },
        h("button", { class: "joint", "data-focus": `joint-${part.id}`, "aria-pressed": String(chosen), onclick: () => (now === "absent" ? editor.setJoint(part.id, "visible") : editor.select(editor.selection.key, part.id)) },
          part.name, editor.placing === part.id && h("em", {}, " click its place")),
        h("span", { class: "states", role: "group", "aria-label": part.name }, ...STATES.map(([state, sign, text]) => h("button", { title: text, "aria-label": `${part.name}: ${text}`, "data-state": state,
          "data-focus": `${state}-${part.id}`, "aria-pressed": String(state === now), onclick: () => editor.setJoint(part.id, state) }, sign))));
    }));
  }

  /** @param {string} key @param {import("./document.js").Shape} shape */
  attributes(key, shape) {
    const { editor } = this;
    const specs = editor.labels.byId.get(shape.label_id)?.attributes ?? [];
    if (!specs.length) return null;
    const values = new Map(shape.attributes.map(({ spec_id, value }) => [spec_id, value]));
    return h("div", { class: "attributes" }, ...specs.flatMap((/** @type {any} */ spec) => {
      const now = values.get(spec.id) ?? spec.default_value;
      const set = (/** @type {string} */ value) => editor.annotations.change(key, {
        attributes: [...shape.attributes.filter(({ spec_id }) => spec_id !== spec.id), { spec_id: spec.id, value }] });
      const id = `attribute-${spec.id}`;
      return [h("label", { for: id }, spec.name), field(spec, id, now, set)];
    }));
  }

  /** @param {import("./document.js").Shape} shape @returns {string} where it comes from, and its type where its class does not say it */
  about(shape) {
    const source = SOURCES[shape.source] ?? shape.source;
    return this.editor.labels.byId.get(shape.label_id)?.type === shape.type ? source : `${shape.type}, ${source}`;
  }

  /** @param {[string, import("./document.js").Shape][]} items */
  drawShapes(items) {
    const { editor } = this;
    this.shapesTitle.textContent = `On this picture (${items.length})`;
    fill(this.shapes, ...[...items].reverse().map(([key, shape]) => {
      const hidden = editor.hidden.has(key);
      const broken = shape.type === "mask" && !editor.maskLayer.maskOf(shape);
      return h("li", { class: key === editor.selection.key ? "chosen" : "" },
        h("button", { class: "row", "data-key": key, "data-focus": `shape-${key}`, "aria-pressed": String(key === editor.selection.key), onclick: () => editor.select(key, null) },
          swatch(editor.labels.color(shape.label_id), editor.patternOf(shape.label_id)), h("span", { class: "text" }, editor.labels.name(shape.label_id)),
          h("small", {}, broken ? "broken mask, left as it is" : this.about(shape))),
        h("button", { class: "quiet", "data-focus": `eye-${key}`, "aria-pressed": String(!hidden), title: hidden ? "Show" : "Hide", "aria-label": `${hidden ? "Show" : "Hide"} ${editor.labels.name(shape.label_id)}`,
          onclick: () => { if (hidden) editor.hidden.delete(key); else editor.hidden.add(key); editor.draw(); } }, icon(hidden ? "hidden" : "eye")));
    }));
    const { tracks, tags } = editor.unseen;
    this.notes.textContent = [tracks && `${tracks} tracks`, tags && `${tags} tags`].filter(Boolean).join(" and ") + (tracks || tags ? " of this job are kept, but not shown here." : "");
  }
}

/** @param {any} spec @param {string} id @param {string} now @param {(value: string) => void} set @returns {HTMLElement} */
function field(spec, id, now, set) {
  if (spec.input_type === "checkbox") {
    const box = h("input", { type: "checkbox", id, "data-focus": id, checked: now.toLowerCase() === "true", onchange: () => set(String(box.checked)) });
    return box;
  }
  if (spec.input_type === "select" || spec.input_type === "radio") {
    const choice = h("select", { id, "data-focus": id, onchange: () => set(choice.value) },
      ...[...new Set([...spec.values, now])].map((value) => h("option", { value, selected: value === now }, value)));
    return choice;
  }
  const [least, most, step] = spec.input_type === "number" ? spec.values : [];
  const input = h("input", { type: spec.input_type === "number" ? "number" : "text", id, "data-focus": id, min: least, max: most, step, value: now, onchange: () => set(input.value.trim()) });
  return input;
}
