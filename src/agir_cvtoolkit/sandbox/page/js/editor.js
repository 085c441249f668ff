/** One open job: what is shown, what is selected, and what a person does to it. */

import { ask as send, pages, patiently, Refused, Unreachable } from "./api.js";
import { Activity } from "./activity.js";
import { Annotations, newElement } from "./document.js";
import { Saving } from "./saving.js";
import { Drafts } from "./drafts.js";
import { Labels } from "./labels.js";
import { Pictures, shrink } from "./pictures.js";
import { View } from "./view.js";
import { MaskLayer, drawn } from "./masks.js";
import { ShapeLayer } from "./shapes.js";
import { Layout } from "./layout.js";
import { Panels } from "./panels.js";
import { keysOf } from "./keys.js";
import { readSettings, writeSettings } from "./settings.js";
import { ask } from "./dom.js";
import { logInOver } from "./login.js";
import { SelectTool } from "./tools/select.js";
import { BrushTool } from "./tools/brush.js";
import { PolygonTool } from "./tools/polygon.js";
import { BoxTool } from "./tools/box.js";
import { PointTool } from "./tools/point.js";

/** @typedef {import("./document.js").Shape} Shape */

/** Loads a job and shows it. @param {HTMLElement} root @param {number} jobId @param {number} userId @param {() => void} leave @returns {Promise<Editor>} */
export async function openJob(root, jobId, userId, leave) {
  const request = (/** @type {string} */ method, /** @type {string} */ path) => patiently(() => send(method, path));
  const job = await request("GET", `/api/jobs/${jobId}`);
  const [meta, labels, annotations, task] = await Promise.all([
    request("GET", `/api/jobs/${jobId}/data/meta`),
    pages(`/api/labels?job_id=${jobId}`),
    request("GET", `/api/jobs/${jobId}/annotations/`),
    // A worker sees the job, not its task.
    request("GET", `/api/tasks/${job.task_id}`).catch((error) => {
      if (error instanceof Refused && error.status < 500) return { name: `Task ${job.task_id}` };
      throw error;
    }),
  ]);
  return new Editor(root, { job, meta, labels, annotations, task, userId }, leave);
}

export class Editor {
  /** @param {HTMLElement} root @param {{job: any, meta: any, labels: any[], annotations: any, task: any, userId: number}} data @param {() => void} leave */
  constructor(root, { job, meta, labels, annotations, task, userId }, leave) {
    this.job = job;
    this.task = task;
    this.leave = leave;
    this.closed = false;
    this.settings = readSettings();
    this.meta = meta;
    const gone = new Set(meta.deleted_frames);
    /** @type {number[]} */
    this.frames = (meta.included_frames ?? meta.frames.map((/** @type {any} */ _, /** @type {number} */ i) => job.start_frame + i))
      .filter((/** @type {number} */ number) => !gone.has(number));
    this.labels = new Labels(labels.sort((a, b) => a.id - b.id));
    this.labelId = this.labels.all[0]?.id ?? 0;
    this.annotations = new Annotations(annotations.shapes);
    this.unseen = { tracks: annotations.tracks.length, tags: annotations.tags.length };
    this.place_ = -1;
    /** @type {import("./shapes.js").Selection} */
    this.selection = { key: null, part: null };
    /** The joint that the next click places. @type {number} */
    this.placing = 0;
    /** @type {Set<string>} */
    this.hidden = new Set();
    this.masksShown = true;
    /** @type {{key: string, mask: import("./spans.js").Mask, label: number} | null} */
    this.painting = null;
    this.layout = new Layout(root, this);
    this.view = new View(this.layout.canvas);
    this.maskLayer = new MaskLayer(this.view);
    this.shapeLayer = new ShapeLayer(this.view, this.labels, {
      select: (key, part) => this.select(key, part),
      change: (key, fields) => this.annotations.change(key, fields),
      changeElement: (key, labelId, fields) => this.annotations.changeElement(key, labelId, fields),
      hover: (text, event) => this.layout.tip(text, event),
    });
    this.view.listeners.push(() => this.layout.tellZoom(this.view.scale));
    this.tools = [new SelectTool(this), new BrushTool(this, true), new BrushTool(this, false), new PolygonTool(this),
      new BoxTool(this, "rectangle"), new PointTool(this), new BoxTool(this, "skeleton")]
      .filter((tool) => this.useful(tool.id));
    this.tool = this.tools[0];
    this.panels = new Panels(this);
    this.pictures = new Pictures(job.id, (frame) => this.sizeOf(frame), (frame, trouble) => this.waits(frame, trouble));
    this.drafts = new Drafts(job, userId, () => this.annotations.changes(this.saving.tried));
    this.activity = new Activity(job);
    this.saving = new Saving(job, this.annotations, {
      settled: () => this.activity.saved(),
      told: (state, text) => {
        this.layout.tellSaving(state, text);
        this.drafts.later();
      },
      merged: (count) => this.layout.toast(`Somebody else has saved this job: ${count} ${count === 1 ? "shape was" : "shapes were"} brought in.`, true),
      collide: (found) => this.collide(found),
      jobChanged: (changed) => {
        this.job = changed;
        this.layout.tellJob();
      },
      loggedOut: () => logInOver(),
    });
    this.annotations.listeners.add(() => this.changed());
    this.layout.build(this.tools);
    this.closeKeys = keysOf(this);
    this.guard = (/** @type {BeforeUnloadEvent} */ event) => {
      if (this.annotations.dirty) event.preventDefault();
    };
    window.addEventListener("beforeunload", this.guard);
    this.applyView();
    this.useTool(this.tool.id);
    this.go(0);
    void this.offerDrafts();
  }

  close() {
    this.closed = true;
    this.saving.stop();
    this.activity.close();
    void this.drafts.close();
    this.closeKeys();
    this.shapeLayer.close();
    this.layout.forget();
    window.removeEventListener("beforeunload", this.guard);
    this.view.close();
  }

  /** Goes back to the list, once everything is saved or the person lets go of it. */
  async goBack() {
    if (await this.mayLeave()) this.leave();
  }

  /** Saves what is to be saved. @returns {Promise<boolean>} whether the person may go, or wants to all the same */
  async mayLeave() {
    if (await this.saving.now()) return true;
    const answer = await ask("Some changes are not saved", ["If you leave now, they are lost."],
      [{ id: "leave", text: "Leave without saving" }, { id: "stay", text: "Stay", primary: true }]);
    return answer === "leave";
  }

  /** Offers what an earlier page could not save any more. */
  async offerDrafts() {
    const drafts = await this.drafts.left();
    const changes = drafts.flatMap((draft) => draft.changes);
    if (!changes.length || this.closed) return;
    const frames = [...new Set(changes.map(({ base, shape }) => (shape ?? base).frame))].sort((a, b) => a - b);
    const pictures = frames.map((frame) => this.frames.indexOf(frame) + 1).join(", ");
    const answer = await ask("There is unsaved work", [
      `This page was closed at ${new Date(drafts[drafts.length - 1].at).toLocaleString()} before ${changes.length} ${changes.length === 1 ? "change" : "changes"} `
      + `(${frames.length === 1 ? "picture" : "pictures"} ${pictures}) had been saved. What others have saved since stays: where it concerns the same shapes, you are asked.`,
    ], [{ id: "take", text: "Take it up", primary: true }, { id: "drop", text: "Throw it away" }, { id: "later", text: "Not now" }]);
    if (this.closed || answer === "later") return;
    if (answer === "take") {
      for (const draft of drafts) {
        if (!(await this.saving.resume(draft.changes))) {
          this.layout.toast("The server does not answer. The unsaved work is kept: open the job again later.", true);
          return;
        }
      }
      await this.drafts.write();
    }
    await this.drafts.remove(drafts.map(({ id }) => id));
  }

  // --- pictures ---------------------------------------------------------------------------------

  get frame() {
    return this.frames[this.place_] ?? -1;
  }

  /** @param {number} frame @returns {{width: number, height: number, name: string}} */
  sizeOf(frame) {
    return this.meta.frames[frame - this.job.start_frame];
  }

  /** @param {number} place from 0 on */
  async go(place) {
    if (!this.frames.length) {
      this.layout.trouble("This job has no pictures.");
      return;
    }
    const wanted = Math.min(this.frames.length - 1, Math.max(0, place));
    if (wanted === this.place_) return;
    this.tool.cancel();
    if (this.annotations.dirty) void this.saving.now();
    this.place_ = wanted;
    this.selection = { key: null, part: null };
    this.placing = 0;
    this.hidden.clear();
    this.layout.tellFrame();
    await this.showPicture();
  }

  /** @param {number} frame @param {Error} trouble @returns {boolean} whether the picture is still wanted */
  waits(frame, trouble) {
    if (this.closed) return false;
    if (frame === this.frame) this.layout.busy(true, trouble instanceof Unreachable ? "The server does not answer. Trying again…" : "The server is busy. Trying again…");
    return frame === this.frame || frame === this.frames[this.place_ + 1];
  }

  async showPicture() {
    const frame = this.frame;
    this.view.picture = null;
    this.layout.busy(true);
    this.draw();
    try {
      const picture = await this.pictures.load(frame);
      if (frame !== this.frame) return;
      this.view.show(picture, true);
      this.layout.busy(false);
      this.draw();
      this.maskLayer.drawAll();
      await new Promise(requestAnimationFrame);
      this.view.container.dataset.ready = String(frame);
      if (picture.levels.length === 1) await shrink(picture);
      if (frame !== this.frame) return;
      this.view.pictureLayer.batchDraw();
      const next = this.frames[this.place_ + 1];
      if (next !== undefined) this.pictures.load(next).catch(() => undefined);
    } catch (error) {
      if (frame !== this.frame) return;
      if (error instanceof Refused && error.status === 401) {
        await logInOver();
        await this.showPicture();
      } else this.layout.trouble(`${error instanceof Error ? error.message : error}`, () => this.showPicture());
    }
  }

  // --- shapes -----------------------------------------------------------------------------------

  get selectedShape() {
    return this.annotations.get(this.selection.key);
  }

  /** Shows the state as it is now. */
  draw() {
    const shown = this.view.picture ? this.annotations.on(this.frame).filter(([key]) => !this.hidden.has(key) && this.masksShown) : [];
    /** @type {import("./masks.js").Drawn[]} */
    const masks = [];
    for (const [key, shape] of shown) {
      if (shape.type !== "mask") continue;
      const painted = this.painting?.key === key;
      const mask = painted ? this.painting?.mask : this.maskLayer.maskOf(shape);
      const found = mask && drawn(key, mask, this.labels.color(shape.label_id), this.patternOf(shape.label_id));
      if (found) masks.push(painted ? { ...found, box: this.everywhere } : found);
    }
    if (this.painting && !this.annotations.get(this.painting.key)) {
      const { key, mask, label } = this.painting;
      masks.push({ key, mask, box: this.everywhere, color: this.labels.color(label), pattern: this.patternOf(label) });
    }
    this.maskLayer.show(masks, this.painting?.key ?? this.selection.key);
    this.shapeLayer.show(shown.filter(([, shape]) => shape.type !== "mask"), this.selection, this.tool.id === "select" && !this.placing);
    this.panels.draw();
    this.layout.tellOptions();
    this.tellHint();
  }

  get everywhere() {
    const { width, height } = /** @type {any} */ (this.view.picture);
    return [0, 0, width - 1, height - 1];
  }

  /** @param {number} labelId */
  patternOf(labelId) {
    const label = this.labels.byId.get(labelId);
    return this.settings.patterns && (label?.type === "mask" || label?.type === "any") ? label.pattern : 0;
  }

  changed() {
    if (this.selection.key && !this.annotations.get(this.selection.key)) this.selection = { key: null, part: null };
    this.layout.tellHistory();
    this.draw();
  }

  /** @param {string | null} key @param {number | null} part */
  select(key, part) {
    if (key === this.selection.key && part === this.selection.part) return;
    this.selection = { key, part };
    this.placing = 0;
    const shape = this.selectedShape;
    if (shape && this.labels.byId.has(shape.label_id)) this.labelId = shape.label_id;
    this.draw();
  }

  /** @param {number} step */
  selectNext(step) {
    const keys = this.annotations.on(this.frame).map(([key]) => key);
    if (!keys.length) return;
    const at = keys.indexOf(this.selection.key ?? "");
    this.select(keys[(at + step + keys.length + (at < 0 && step < 0 ? 1 : 0)) % keys.length], null);
  }

  /** @param {Shape} shape @returns {string} its key */
  add(shape) {
    const key = this.annotations.add({ ...shape, attributes: this.labels.defaults(shape.label_id), z_order: this.onTop });
    this.selection = { key, part: null };
    if (shape.type === "points") this.selection = { key: null, part: null };
    if (shape.type === "skeleton" || shape.type === "rectangle") this.useTool("select");
    this.draw();
    return key;
  }

  get onTop() {
    return Math.max(0, ...this.annotations.on(this.frame).map(([, shape]) => shape.z_order));
  }

  remove() {
    const { key } = this.selection;
    if (key) this.annotations.remove(key);
  }

  /** @param {number} labelId of a class; what is selected changes to it where that fits */
  setLabel(labelId) {
    const shape = this.selectedShape;
    const key = this.selection.key;
    this.labelId = labelId;
    if (shape && key && shape.label_id !== labelId) {
      if (!this.labels.fitting(shape.type).some(({ id }) => id === labelId) || shape.type === "skeleton") {
        this.layout.toast(`${this.labels.name(labelId)} is no class for this shape.`);
        this.selection = { key: null, part: null };
      } else this.annotations.change(key, { label_id: labelId, attributes: this.labels.defaults(labelId) });
    }
    this.draw();
  }

  /** The class that a new shape gets. @param {string} type @param {boolean} [tells] @returns {number} 0 where the job has none for such shapes */
  labelFor(type, tells = true) {
    const fitting = this.labels.fitting(type);
    const found = fitting.find(({ id }) => id === this.labelId) ?? fitting[0];
    if (!found) {
      if (tells) this.layout.toast("This job has no class for such a shape.");
      return 0;
    }
    if (tells) this.labelId = found.id;
    return found.id;
  }

  /** @param {string} toolId @returns {boolean} whether this job has classes or shapes for a tool */
  useful(toolId) {
    const types = { select: [], brush: ["mask"], eraser: ["mask"], polygon: ["mask", "polygon"], box: ["rectangle"], points: ["points"],
      skeleton: ["skeleton"] }[toolId] ?? [];
    return !types.length || types.some((type) => this.labels.fitting(type).length || [...this.annotations.now.values()].some((shape) => shape.type === type));
  }

  /** @returns {"mask" | "polygon"} what an outline becomes */
  get outlineType() {
    const type = this.labels.byId.get(this.labelId)?.type;
    if (type === "mask" || type === "polygon") return type;
    if (this.settings.outline) return this.settings.outline;
    const shapes = [...this.annotations.now.values()];
    return shapes.some((shape) => shape.type === "polygon") && !shapes.some((shape) => shape.type === "mask") ? "polygon" : "mask";
  }

  /** Changes whether what is selected is occluded or absent. @param {"occluded" | "outside"} what */
  toggle(what) {
    const { key, part } = this.selection;
    const shape = this.selectedShape;
    if (!key || !shape) return;
    if (shape.type !== "skeleton") {
      if (what === "occluded") this.annotations.change(key, { occluded: !shape.occluded });
      else if (shape.type === "points") this.remove();
      return;
    }
    const element = shape.elements.find((one) => one.label_id === part);
    if (part !== null && element) this.setJoint(part, what === "occluded" ? (element.occluded ? "visible" : "occluded") : element.outside ? "visible" : "absent");
    else this.layout.toast("Select a joint first.");
  }

  /** @param {number} labelId @param {"visible" | "occluded" | "absent"} state */
  setJoint(labelId, state) {
    const { key } = this.selection;
    const shape = this.selectedShape;
    if (!key || !shape) return;
    const element = shape.elements.find((one) => one.label_id === labelId);
    if (state !== "absent" && (!element || element.outside)) {
      // Where an absent joint lies means nothing: it is placed by hand.
      this.selection = { key, part: labelId };
      this.placing = labelId;
      this.useTool("select");
      this.draw();
      return;
    }
    this.selection = { key, part: labelId };
    this.annotations.changeElement(key, labelId, { occluded: state === "occluded", outside: state === "absent" });
  }

  /** @param {import("./tools/tool.js").Point} point where the joint is that is being placed */
  place(point) {
    const { key } = this.selection;
    const shape = this.selectedShape;
    const labelId = this.placing;
    this.placing = 0;
    if (!key || !shape) return;
    const { x, y } = this.view.inside(point);
    const fields = { points: [x, y], outside: false, occluded: false };
    const known = shape.elements.some((one) => one.label_id === labelId);
    this.annotations.changeElement(key, labelId, known ? fields : { ...newElement(labelId, shape.frame, fields), attributes: this.labels.defaults(labelId) });
  }

  /** Moves what is selected by whole pixels. @param {number} dx @param {number} dy @returns {boolean} */
  nudge(dx, dy) {
    const { key, part } = this.selection;
    const shape = this.selectedShape;
    if (!key || !shape || shape.type === "mask") return false;
    const moved = (/** @type {number[]} */ points, /** @type {number | null} */ only = null) =>
      this.shapeLayer.clamped(points.map((value, i) => (only === null || i >> 1 === only ? value + (i % 2 ? dy : dx) : value)));
    if (shape.type === "skeleton") {
      const element = shape.elements.find((one) => one.label_id === part && !one.outside);
      if (part === null || !element) return false;
      this.annotations.changeElement(key, part, { points: moved(element.points) });
    } else this.annotations.change(key, { points: moved(shape.points, shape.type === "rectangle" ? null : part) });
    return true;
  }

  // --- masks ------------------------------------------------------------------------------------

  /** @param {string} key @returns {import("./spans.js").Mask | null} */
  maskOf(key) {
    const shape = this.annotations.get(key);
    return shape?.type === "mask" ? this.maskLayer.maskOf(shape) : null;
  }

  /** @param {import("./tools/tool.js").Point} point @param {boolean} [under] the one under the selected mask, where that is on top @returns {string | null} */
  maskAt({ x, y }, under = false) {
    const hits = this.maskLayer.hits(x, y);
    const next = under ? hits.indexOf(this.selection.key ?? "") + 1 : 0;
    return hits[next % hits.length] ?? null;
  }

  /** @param {import("./tools/tool.js").Point} point @param {PointerEvent} event */
  hoverMask(point, event) {
    if (this.view.stage.getIntersection(this.screen(event))) return;
    const shape = this.annotations.get(this.maskAt(point));
    this.layout.tip(shape ? this.labels.name(shape.label_id) : null, event);
  }

  /** @param {PointerEvent} event @returns {{x: number, y: number}} */
  screen(event) {
    const { left, top } = this.layout.canvas.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }

  /** @param {string | null} key null: of a new mask @param {import("./spans.js").Mask} mask changed in place from now on */
  beginMask(key, mask) {
    this.painting = { key: key ?? "new", mask, label: this.labelId };
    this.draw();
    this.maskLayer.drawAll();
  }

  /** @param {number[]} part of the picture in which the painted mask has changed */
  touchMask(part) {
    this.maskLayer.touch(part);
  }

  /** @param {string | null} key @param {number[] | null} runs null: nothing is left of it @param {boolean} adds */
  endMask(key, runs, adds) {
    this.painting = null;
    if (key) this.replaceMask(key, runs);
    else if (runs && adds) this.add({ type: "mask", frame: this.frame, label_id: this.labelId, points: runs, occluded: false, outside: false,
      z_order: 0, rotation: 0, group: 0, source: "manual", attributes: [], elements: [] });
    else this.draw();
  }

  dropMask() {
    this.painting = null;
    this.draw();
  }

  /** @param {string} key @param {number[] | null} runs a mask without a pixel is removed: servers cannot hold one */
  replaceMask(key, runs) {
    const old = this.annotations.get(key)?.points;
    if (!runs) this.annotations.remove(key);
    else if (old && runs.length === old.length && runs.every((run, i) => run === old[i])) this.draw();
    else this.annotations.change(key, { points: runs });
  }

  /** @param {number} size in pixels of the picture */
  setBrush(size) {
    this.settings.brush = Math.min(2000, Math.max(1, size < 10 ? Math.round(size * 2) / 2 : Math.round(size)));
    writeSettings(this.settings);
    this.layout.tellOptions();
    this.tellHint();
  }

  // --- the rest ---------------------------------------------------------------------------------

  /** @param {string} id */
  useTool(id) {
    const next = this.tools.find((tool) => tool.id === id);
    if (!next) return;
    if (next !== this.tool) this.tool.leave();
    this.tool = next;
    this.layout.tellTool();
    this.layout.tip(null);
    this.draw();
  }

  tellHint() {
    this.layout.hint(this.tool.hint);
  }

  applyView() {
    const { opacity, brightness, contrast } = this.settings;
    this.maskLayer.opacity = opacity;
    this.view.light(brightness, contrast);
    writeSettings(this.settings);
    this.draw();
  }

  /** @param {boolean} shown */
  showMasks(shown) {
    this.masksShown = shown;
    this.draw();
  }

  undo() {
    if (!this.tool.cancel()) this.annotations.undo(this.frame);
  }

  redo() {
    this.annotations.redo(this.frame);
  }

  /** Marks the job as completed, or takes it up again. */
  async complete() {
    const completed = this.job.state === "completed";
    if (!completed) {
      const empty = this.frames.filter((frame) => !this.annotations.on(frame).length).length;
      const note = empty ? `${empty} of ${this.frames.length} pictures ${empty === 1 ? "has" : "have"} no shape at all; that is fine if there is nothing to be seen.` : "";
      const answer = await ask("Complete this job?", [`All changes are saved and the job counts as done. ${note} You can open it again later.`],
        [{ id: "yes", text: "Complete", primary: true }, { id: "no", text: "Not yet" }]);
      if (answer === "no") return;
    }
    if (await this.saving.setJob({ state: completed ? "in progress" : "completed" })) {
      this.layout.toast(completed ? "The job is open again." : "Completed. Thank you!");
    }
  }

  /** @param {import("./saving.js").Collision[]} found @returns {Promise<boolean>} whether ours are kept */
  async collide(found) {
    const gone = found.filter(({ theirs }) => !theirs).length;
    const names = [...new Set(found.map(({ key, theirs }) => this.labels.name((this.annotations.get(key) ?? this.annotations.saved.get(key) ?? theirs).label_id)))];
    const answer = await ask("Somebody else has changed the same shapes", [
      `${found.length} ${found.length === 1 ? "shape" : "shapes"} (${names.join(", ")}) that you have changed here ${found.length === 1 ? "was" : "were"} also changed${gone ? " or deleted" : ""} by somebody else meanwhile. Nothing has been overwritten yet. Which is right?`,
    ], [{ id: "theirs", text: "Take theirs" }, { id: "mine", text: "Keep mine", primary: true }]);
    return answer === "mine";
  }
}
