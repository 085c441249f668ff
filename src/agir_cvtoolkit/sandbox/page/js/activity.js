/**
 * Reports to the server that somebody is at work on a job, as CVAT's own page does: the server adds up the time between
 * two reports that are less than 100 s apart.
 */

import { ask } from "./api.js";

const EVERY_MS = 20000;
const SEND_MS = 90000;
const HANDS = ["pointerdown", "keydown", "wheel"];

/** @typedef {{scope: string, timestamp: string, job_id: number, task_id: number, project_id: number | null}} Report */

export class Activity {
  /** @param {any} job as the server gives it */
  constructor(job) {
    this.job = job;
    /** @type {Report[]} */
    this.waiting = [];
    /** The last report that was sent; time counts from it. @type {Report | null} */
    this.before = null;
    this.noted = 0;
    this.note("load:job");
    this.onHand = () => {
      if (Date.now() - this.noted >= EVERY_MS) this.note("click:element");
    };
    this.onHide = () => void this.send();
    for (const name of HANDS) window.addEventListener(name, this.onHand, { capture: true, passive: true });
    document.addEventListener("visibilitychange", this.onHide);
    this.timer = setInterval(() => this.send(), SEND_MS);
  }

  /** @param {string} scope */
  note(scope) {
    const { id, task_id, project_id } = this.job;
    this.noted = Date.now();
    this.waiting.push({ scope, timestamp: new Date(this.noted).toISOString(), job_id: id, task_id, project_id });
  }

  /** Sends what was noted; what does not arrive is sent the next time. No work waits for it to succeed. */
  async send() {
    const events = this.waiting;
    if (!events.length) return;
    this.waiting = [];
    try {
      const told = { events, previous_event: this.before, timestamp: new Date().toISOString() };
      await ask("POST", "/api/events", told);
      this.before = events[events.length - 1];
    } catch {
      this.waiting = [...events, ...this.waiting];
    }
  }

  /** Says that the work so far is saved, and sends it. @returns {Promise<void>} */
  saved() {
    this.note("save:job");
    return this.send();
  }

  close() {
    clearInterval(this.timer);
    for (const name of HANDS) window.removeEventListener(name, this.onHand, { capture: true });
    document.removeEventListener("visibilitychange", this.onHide);
    void this.send();
  }
}
