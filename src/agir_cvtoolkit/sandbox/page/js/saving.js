/**
 * Saves a job's annotations as CVAT's own page does: what was updated, what was deleted, what is new.
 *
 * Before anything is written the job's date is read: when it has moved, somebody else has saved, and that work is
 * brought in first. A request whose answer was lost may have been carried out; the same comparison finds that out, so
 * nothing is written twice.
 */

import { ask, Refused, Unreachable } from "./api.js";
import { same } from "./document.js";

const QUIET_MS = 2500;
const AGAIN_MS = 4000;
const LOOK_MS = 30000;

/** @typedef {{key: string, theirs: any | null}} Collision their version of a shape that is changed here too; null: deleted */

export class Saving {
  /**
   * @param {any} job as the server gives it
   * @param {import("./document.js").Annotations} annotations
   * @param {{told: (state: string, text: string) => void, merged: (count: number) => void,
   *   collide: (found: Collision[]) => Promise<boolean>, jobChanged: (job: any) => void, loggedOut: () => Promise<void>,
   *   settled: () => Promise<void>}} hooks
   *   `collide` answers whether ours are kept; `settled` is told before the job's state changes
   */
  constructor(job, annotations, hooks) {
    this.job = job;
    this.annotations = annotations;
    this.hooks = hooks;
    this.path = `/api/jobs/${job.id}`;
    this.doubtful = false;
    /** New shapes that were sent and not yet answered. @type {Map<string, any>} */
    this.tried = new Map();
    /** @type {Promise<boolean> | null} */
    this.running = null;
    this.timer = 0;
    this.stopped = false;
    this.onChange = () => this.later(QUIET_MS);
    annotations.listeners.add(this.onChange);
    this.watch = setInterval(() => this.look(), LOOK_MS);
    this.onFocus = () => this.look();
    window.addEventListener("focus", this.onFocus);
    hooks.told("saved", "All changes saved");
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
    clearInterval(this.watch);
    window.removeEventListener("focus", this.onFocus);
    this.annotations.listeners.delete(this.onChange);
  }

  /** @param {number} wait */
  later(wait) {
    clearTimeout(this.timer);
    if (this.stopped) return;
    if (!this.annotations.dirty) {
      this.hooks.told("saved", "All changes saved");
      return;
    }
    this.hooks.told("unsaved", "Unsaved changes");
    this.timer = window.setTimeout(() => this.now(), wait);
  }

  /** Saves all there is to save. @returns {Promise<boolean>} whether the server has everything now */
  async now() {
    clearTimeout(this.timer);
    while (this.running) await this.running;
    this.running = this.attempt(() => this.write());
    const done = await this.running;
    this.running = null;
    if (done && this.annotations.dirty) this.later(QUIET_MS);
    return done && !this.annotations.dirty;
  }

  /** Saves, then sets the job's state or stage. @param {Record<string, string>} fields @returns {Promise<boolean>} */
  async setJob(fields) {
    if (!(await this.now())) return false;
    await this.hooks.settled();
    while (this.running) await this.running;
    this.running = this.attempt(async () => this.known(await ask("PATCH", this.path, fields)));
    const done = await this.running;
    this.running = null;
    return done;
  }

  /** Looks whether somebody else has saved. */
  async look() {
    if (this.running || this.stopped || document.hidden) return;
    this.running = this.attempt(() => this.meet(), true);
    await this.running;
    this.running = null;
  }

  /** Takes up what another page has left unsaved, beside all that was saved since. @param {import("./drafts.js").Change[]} changes @returns {Promise<boolean>} */
  async resume(changes) {
    while (this.running) await this.running;
    this.running = this.attempt(async () => {
      const job = await ask("GET", this.path);
      const { shapes } = await ask("GET", `${this.path}/annotations/`);
      this.annotations.resume(changes, shapes);
      await this.bringIn(shapes);
      this.known(job);
    });
    const done = await this.running;
    this.running = null;
    return done;
  }

  /** @param {() => Promise<void>} work @param {boolean} [quiet] @returns {Promise<boolean>} */
  async attempt(work, quiet = false) {
    try {
      await work();
      if (!this.annotations.dirty) this.hooks.told("saved", "All changes saved");
      return true;
    } catch (error) {
      if (error instanceof Refused && error.status === 401) {
        this.hooks.told("failed", "Not saved: please log in again");
        await this.hooks.loggedOut();
        this.later(0);
      } else if (error instanceof Unreachable || (error instanceof Refused && error.passing)) {
        this.doubtful = true;
        if (quiet && !this.annotations.dirty) return false;
        this.hooks.told("failed", `Not saved yet: ${error.message} Your changes are kept here and are sent again.`);
        clearTimeout(this.timer);
        if (!this.stopped) this.timer = window.setTimeout(() => this.now(), AGAIN_MS);
      } else if (error instanceof Refused) {
        this.hooks.told("refused", `The server refuses this: ${error.message}`);
      } else throw error;
      return false;
    }
  }

  async write() {
    await this.meet();
    const { annotations } = this;
    const { updated, deleted, created } = annotations.unsaved();
    if (!updated.length && !deleted.length && !created.length) return;
    this.hooks.told("saving", "Saving…");
    await this.send("update", updated, (key) => /** @type {any} */ (annotations.now.get(key)));
    await this.send("delete", deleted, (key) => /** @type {any} */ (annotations.saved.get(key)));
    await this.send("create", created, (key) => /** @type {any} */ (annotations.now.get(key)));
    if (this.job.state === "new") this.known(await ask("PATCH", this.path, { state: "in progress" }));
    else this.known(await ask("GET", this.path));
    this.doubtful = false;
  }

  /** @param {"update" | "delete" | "create"} action @param {string[]} keys @param {(key: string) => any} shapeOf */
  async send(action, keys, shapeOf) {
    if (!keys.length) return;
    const sent = keys.map((key) => ({ key, shape: shapeOf(key) }));
    const shapes = sent.map(({ key, shape }) => this.annotations.wire(key, shape));
    if (action === "create") for (const { key, shape } of sent) this.tried.set(key, shape);
    const answer = await ask("PATCH", `${this.path}/annotations/?action=${action}`, { version: 0, tags: [], shapes, tracks: [] });
    sent.forEach(({ key, shape }, place) => {
      if (action === "delete") {
        this.annotations.saved.delete(key);
        this.annotations.ids.delete(key);
        return;
      }
      const told = answer.shapes[place];
      this.annotations.saved.set(key, shape);
      this.annotations.seen.set(key, told);
      if (action === "create") this.annotations.ids.set(key, told.id);
      for (const element of told.elements ?? []) this.annotations.ids.set(`${key}/${element.label_id}`, element.id);
    });
    if (action !== "create") return;
    await this.removeTwins();
    this.tried.clear();
  }

  /**
   * Deletes what came to the server twice of the shapes that were just created: when a connection in use breaks, a
   * browser sends the request again by itself, and tells nobody.
   */
  async removeTwins() {
    const { annotations } = this;
    const known = new Set(annotations.ids.values());
    const { shapes } = await ask("GET", `${this.path}/annotations/`);
    const twins = shapes.filter((/** @type {any} */ shape) => !known.has(shape.id) && [...this.tried.values()].some((sent) => same(sent, shape)));
    await this.send("delete", twins.map((/** @type {any} */ twin) => this.takeTwin(twin)), (key) => annotations.saved.get(key));
  }

  /** Notes a shape that is on the server and is not wanted there. @param {any} twin @returns {string} its key */
  takeTwin(twin) {
    const key = this.annotations.newKey();
    this.annotations.take(key, twin);
    this.annotations.now.delete(key);
    return key;
  }

  /** Reads the job, and what others have saved since. */
  async meet() {
    const job = await ask("GET", this.path);
    if (job.updated_date === this.job.updated_date && !this.doubtful) return;
    const { shapes } = await ask("GET", `${this.path}/annotations/`);
    await this.bringIn(shapes);
    this.known(job);
    this.doubtful = false;
  }

  /** @param {any} job */
  known(job) {
    this.job = job;
    this.hooks.jobChanged(job);
  }

  /** @param {any[]} shapes all that the server has */
  async bringIn(shapes) {
    const { annotations } = this;
    const theirs = new Map(shapes.map((shape) => [shape.id, shape]));
    /** @type {Collision[]} */
    const collisions = [];
    let taken = 0;
    for (const [key, base] of [...annotations.saved]) {
      const id = /** @type {number} */ (annotations.ids.get(key));
      const their = theirs.get(id) ?? null;
      theirs.delete(id);
      if (their && same(their, annotations.seen.get(key))) continue;
      const mine = annotations.now.get(key);
      if (mine && their && same(their, mine)) {
        annotations.saved.set(key, mine);
        annotations.seen.set(key, their);
      } else if (!mine && !their) this.forget(key);
      else if (mine === base) {
        this.accept(key, their);
        taken += 1;
      } else collisions.push({ key, theirs: their });
    }
    const arrived = new Set();
    for (const their of theirs.values()) {
      const own = [...this.tried].find(([, sent]) => same(sent, their));
      if (own && arrived.has(own[0])) this.takeTwin(their);
      else if (own) {
        arrived.add(own[0]);
        this.arrived(own[0], own[1], their);
      } else {
        annotations.take(annotations.newKey(), their);
        taken += 1;
      }
    }
    this.tried.clear();
    if (collisions.length) {
      const keep = await this.hooks.collide(collisions);
      for (const { key, theirs: their } of collisions) {
        if (!keep) this.accept(key, their);
        else if (their) {
          annotations.saved.set(key, { ...their });
          annotations.seen.set(key, their);
        } else {
          annotations.saved.delete(key);
          annotations.ids.delete(key);
        }
      }
    }
    if (taken || collisions.length) {
      annotations.histories.clear();
      annotations.tell();
    }
    if (taken) this.hooks.merged(taken);
  }

  /** A new shape whose answer was lost is there all the same. @param {string} key @param {any} sent @param {any} their */
  arrived(key, sent, their) {
    const { annotations } = this;
    const mine = annotations.now.get(key);
    annotations.take(key, their);
    annotations.saved.set(key, sent);
    annotations.set(key, mine ?? null);
  }

  /** @param {string} key @param {any | null} their */
  accept(key, their) {
    if (their) this.annotations.take(key, their);
    else this.forget(key);
  }

  /** @param {string} key */
  forget(key) {
    this.annotations.now.delete(key);
    this.annotations.saved.delete(key);
    this.annotations.ids.delete(key);
  }
}
