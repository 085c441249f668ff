/**
 * The annotations of one job, with undo and redo for each picture, and what of them has not been saved.
 *
 * Shapes are CVAT's own objects without their ids; they are replaced, never changed, so that what is untouched is
 * known by identity. Ids are kept beside them, by the shape's key and, for joints, by key and label.
 *
 * @typedef {{type: string, frame: number, label_id: number, points: number[], occluded: boolean, outside: boolean,
 *   z_order: number, rotation: number, group: number | null, source: string,
 *   attributes: {spec_id: number, value: string}[], elements: any[], score?: number}} Shape
 * @typedef {{key: string, before: Shape | null, after: Shape | null}} Edit
 */

const AS_EDITED = /** @type {Record<string, string>} */ ({ auto: "semi-auto" });

export class Annotations {
  /** @param {any[]} shapes as the server gives them */
  constructor(shapes) {
    /** @type {Map<string, Shape>} */
    this.now = new Map();
    /** @type {Map<string, Shape>} */
    this.saved = new Map();
    /** What the server said last of a shape, with the values that it fills in. @type {Map<string, any>} */
    this.seen = new Map();
    /** @type {Map<string, number>} */
    this.ids = new Map();
    /** @type {Map<number, {done: Edit[][], undone: Edit[][]}>} */
    this.histories = new Map();
    /** @type {Set<() => void>} */
    this.listeners = new Set();
    this.lastKey = 0;
    for (const shape of shapes) this.take(this.newKey(), shape);
  }

  newKey() {
    this.lastKey += 1;
    return `s${this.lastKey}`;
  }

  /** Takes over a shape as it is on the server. @param {string} key @param {any} raw */
  take(key, raw) {
    const { id, ...shape } = raw;
    this.ids.set(key, id);
    shape.elements = (raw.elements ?? []).map((/** @type {any} */ element) => {
      const { id: elementId, ...rest } = element;
      this.ids.set(`${key}/${element.label_id}`, elementId);
      return rest;
    });
    this.now.set(key, shape);
    this.saved.set(key, shape);
    this.seen.set(key, raw);
  }

  /** @param {number} frame @returns {[string, Shape][]} bottom first */
  on(frame) {
    const found = [...this.now].filter(([, shape]) => shape.frame === frame);
    const age = (/** @type {string} */ key) => this.ids.get(key) ?? Infinity;
    return found.sort(([a, one], [b, two]) => one.z_order - two.z_order || age(a) - age(b) || Number(a.slice(1)) - Number(b.slice(1)));
  }

  /** @param {string | null | undefined} key @returns {Shape | undefined} */
  get(key) {
    return key ? this.now.get(key) : undefined;
  }

  /** @param {Shape} shape @returns {string} the key of a new shape */
  add(shape) {
    const key = this.newKey();
    this.apply([{ key, before: null, after: shape }]);
    return key;
  }

  /** Changes fields of a shape; it then says that a person has edited it. @param {string} key @param {Partial<Shape>} fields */
  change(key, fields) {
    const before = this.now.get(key);
    if (!before) return;
    const after = { ...before, ...fields, source: AS_EDITED[before.source] ?? before.source };
    this.apply([{ key, before, after }]);
  }

  /** Changes one joint of a skeleton. @param {string} key @param {number} labelId @param {Partial<Shape>} fields */
  changeElement(key, labelId, fields) {
    const shape = this.now.get(key);
    if (!shape) return;
    const elements = shape.elements.map((element) =>
      element.label_id === labelId ? { ...element, ...fields, source: AS_EDITED[element.source] ?? element.source } : element);
    if (!shape.elements.some((element) => element.label_id === labelId)) elements.push(newElement(labelId, shape.frame, fields));
    this.change(key, { elements });
  }

  /** @param {string} key */
  remove(key) {
    const before = this.now.get(key);
    if (before) this.apply([{ key, before, after: null }]);
  }

  /** @param {Edit[]} edits done and undone together */
  apply(edits) {
    const history = this.history((edits[0].after ?? edits[0].before)?.frame ?? 0);
    history.done.push(edits);
    history.undone.length = 0;
    for (const { key, after } of edits) this.set(key, after);
    this.tell();
  }

  /** @param {number} frame @returns {boolean} whether there was something to undo */
  undo(frame) {
    const history = this.history(frame);
    const edits = history.done.pop();
    if (!edits) return false;
    history.undone.push(edits);
    for (const { key, before } of [...edits].reverse()) this.set(key, before);
    this.tell();
    return true;
  }

  /** @param {number} frame @returns {boolean} whether there was something to redo */
  redo(frame) {
    const history = this.history(frame);
    const edits = history.undone.pop();
    if (!edits) return false;
    history.done.push(edits);
    for (const { key, after } of edits) this.set(key, after);
    this.tell();
    return true;
  }

  /** @param {number} frame @returns {{done: Edit[][], undone: Edit[][]}} */
  history(frame) {
    let found = this.histories.get(frame);
    if (!found) this.histories.set(frame, (found = { done: [], undone: [] }));
    return found;
  }

  /** What the server does not have yet. @returns {{updated: string[], created: string[], deleted: string[]}} keys */
  unsaved() {
    /** @type {{updated: string[], created: string[], deleted: string[]}} */
    const found = { updated: [], created: [], deleted: [] };
    for (const [key, shape] of this.now) {
      if (!this.saved.has(key)) found.created.push(key);
      else if (this.saved.get(key) !== shape) found.updated.push(key);
    }
    for (const key of this.saved.keys()) if (!this.now.has(key)) found.deleted.push(key);
    return found;
  }

  /** @param {Map<string, any>} sent new shapes that were sent without an answer @returns {import("./drafts.js").Change[]} what is unsaved, for another page to take up */
  changes(sent) {
    const { updated, deleted, created } = this.unsaved();
    return [...updated, ...deleted, ...created].map((key) => ({
      base: this.saved.has(key) ? this.seen.get(key) : null, shape: this.now.get(key) ?? null, sent: sent.get(key) ?? null }));
  }

  /** Takes up what another page has left unsaved. @param {import("./drafts.js").Change[]} changes @param {any[]} theirs all shapes that the server has now */
  resume(changes, theirs) {
    const keys = new Map([...this.ids].map(([key, id]) => [id, key]));
    /** @type {Map<number, Edit[]>} */
    const edits = new Map();
    for (const { base, shape, sent } of changes) {
      const there = base ?? theirs.find((their) => same(their, sent ?? shape));
      if (!base && there && same(there, shape)) continue;
      const key = (there && keys.get(there.id)) ?? this.newKey();
      // The server's answer is compared with what was there when it was changed, not with what is there now.
      if (there) this.take(key, there);
      const edit = { key, before: this.now.get(key) ?? null, after: shape };
      const { frame } = shape ?? base;
      edits.set(frame, [...(edits.get(frame) ?? []), edit]);
    }
    for (const found of edits.values()) this.apply(found);
  }

  get dirty() {
    const { updated, created, deleted } = this.unsaved();
    return updated.length + created.length + deleted.length > 0;
  }

  /** A shape as it is sent: with the ids that the server knows. @param {string} key @param {Shape} shape */
  wire(key, shape) {
    const id = this.ids.get(key);
    const elements = shape.elements.map((element) => {
      const own = this.ids.get(`${key}/${element.label_id}`);
      return own === undefined || id === undefined ? element : { id: own, ...element };
    });
    return id === undefined ? { ...shape, elements } : { id, ...shape, elements };
  }

  /** @param {string} key @param {Shape | null} shape */
  set(key, shape) {
    if (shape) this.now.set(key, shape);
    else this.now.delete(key);
  }

  tell() {
    for (const listener of this.listeners) listener();
  }
}

/** @param {string} type @param {number} frame @param {number} labelId @param {number[]} points @returns {Shape} as a person draws it */
export function newShape(type, frame, labelId, points) {
  return {
    type, frame, label_id: labelId, points, occluded: false, outside: false, z_order: 0, rotation: 0, group: 0,
    source: "manual", attributes: [], elements: [],
  };
}

/** @param {number} labelId @param {number} frame @param {Partial<Shape>} fields */
export function newElement(labelId, frame, fields) {
  return {
    type: "points", frame, label_id: labelId, points: [0, 0], occluded: false, outside: false, z_order: 0, rotation: 0,
    group: 0, source: "manual", attributes: [], ...fields,
  };
}

/** @param {any} one @param {any} two @returns {boolean} whether two shapes say the same, whatever their ids */
export function same(one, two) {
  return canonical(one) === canonical(two);
}

/** @param {any} shape @returns {string} */
function canonical(shape) {
  const attributes = [...(shape.attributes ?? [])].map(({ spec_id, value }) => `${spec_id}=${value}`).sort();
  const elements = [...(shape.elements ?? [])].map(canonical).sort();
  return JSON.stringify([
    shape.type, shape.frame, shape.label_id, shape.points, !!shape.occluded, !!shape.outside, shape.z_order ?? 0,
    shape.rotation ?? 0, shape.group ?? 0, attributes, elements,
  ]);
}
