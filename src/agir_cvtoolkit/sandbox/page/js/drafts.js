/**
 * Work that the server does not have yet, kept in this browser: a crash, a power cut or a closed window loses at most
 * the last third of a second.
 *
 * Each open page keeps a draft of its own, so two windows on one job do not write over each other's. Beside each
 * changed shape stands what the server had of it then, so that what others have saved since is seen.
 *
 * @typedef {{base: any | null, shape: import("./document.js").Shape | null, sent: any | null}} Change
 *   base: as the server had it, null for a new shape; shape: as it is here, null for a removed one; sent: a new shape
 *   that was sent without an answer
 * @typedef {{id: string, of: string, at: number, changes: Change[]}} Draft
 */

const NAME = "agir-cvtoolkit.drafts";
const QUIET_MS = 300;
const KEPT_MS = 30 * 24 * 3600 * 1000;

export class Drafts {
  /** @param {any} job @param {number} userId @param {() => Change[]} changes what is unsaved now */
  constructor(job, userId, changes) {
    // A server that began anew has other jobs under the same numbers.
    this.of = [userId, job.id, job.created_date].join(" ");
    this.changes = changes;
    this.id = `${Date.now()}-${Math.random()}`;
    this.timer = 0;
    this.empty = true;
    this.hides = () => {
      if (this.timer) void this.write();
    };
    document.addEventListener("visibilitychange", this.hides);
    window.addEventListener("pagehide", this.hides);
    // While this page lives its draft is its own; pages that are not served safely have no locks, and no harm is done:
    // what is taken up twice is compared with the server like everything else.
    void navigator.locks?.request(NAME + this.id, () => new Promise((resolve) => { this.release = resolve; }));
  }

  /** Nothing of this page is to be taken up again. */
  async close() {
    clearTimeout(this.timer);
    this.timer = 0;
    document.removeEventListener("visibilitychange", this.hides);
    window.removeEventListener("pagehide", this.hides);
    if (!this.empty) await this.remove([this.id]);
    this.release?.(undefined);
  }

  /** Something has changed, or has been saved. */
  later() {
    this.timer ||= window.setTimeout(() => this.write(), QUIET_MS);
  }

  async write() {
    clearTimeout(this.timer);
    this.timer = 0;
    const changes = this.changes();
    if (!changes.length && this.empty) return;
    this.empty = !changes.length;
    if (this.empty) await this.remove([this.id]);
    else await withStore("readwrite", (store) => store.put({ id: this.id, of: this.of, at: Date.now(), changes }));
  }

  /** @returns {Promise<Draft[]>} what pages that are gone have left of this job, oldest first */
  async left() {
    /** @type {Draft[]} */
    const all = (await withStore("readonly", (store) => store.getAll())) ?? [];
    const old = all.filter(({ at }) => at < Date.now() - KEPT_MS);
    if (old.length) await this.remove(old.map(({ id }) => id));
    const alive = new Set(((await navigator.locks?.query())?.held ?? []).map(({ name }) => name));
    return all.filter((draft) => draft.of === this.of && !old.includes(draft) && !alive.has(NAME + draft.id)).sort((a, b) => a.at - b.at);
  }

  /** @param {string[]} ids */
  async remove(ids) {
    await withStore("readwrite", (store) => ids.map((id) => store.delete(id))[0]);
  }
}

/**
 * @template T
 * @param {IDBTransactionMode} mode @param {(store: IDBObjectStore) => IDBRequest<T>} work
 * @returns {Promise<T | null>} null where the browser keeps nothing: then the page works without drafts
 */
function withStore(mode, work) {
  return new Promise((resolve) => {
    const opening = indexedDB.open(NAME, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("drafts", { keyPath: "id" });
    opening.onerror = () => resolve(null);
    opening.onsuccess = () => {
      const transaction = opening.result.transaction("drafts", mode, { durability: "strict" });
      const request = work(transaction.objectStore("drafts"));
      const done = (/** @type {T | null} */ found) => {
        opening.result.close();
        resolve(found);
      };
      transaction.oncomplete = () => done(request.result);
      transaction.onabort = () => done(null);
    };
  });
}
