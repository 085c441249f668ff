/** The jobs that there are, by task: what is to be done comes first. */

import { ask, pages } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { applyTheme, readSettings, writeSettings } from "./settings.js";

const SHOWN = 60;
const STATES = /** @type {Record<string, [string, string]>} */ ({ new: ["○", "To do"], "in progress": ["◐", "In progress"], completed: ["✓", "Completed"], rejected: ["!", "To be corrected"] });
const KINDS = /** @type {Record<string, string>} */ ({ ground_truth: "ground truth", replica: "second opinion", consensus_replica: "second opinion" });

/** @param {HTMLElement} root @param {number | null} taskId only this task's jobs @param {(path: string) => void} visit */
export async function showList(root, taskId, visit) {
  const [jobs, tasks] = await Promise.all([pages(`/api/jobs?sort=-id${taskId ? `&task_id=${taskId}` : ""}`), pages("/api/tasks?sort=-id")]);
  const names = new Map(tasks.map((task) => [task.id, task.name]));
  document.title = "Jobs · agir-cvtoolkit sandbox";
  /** @type {{open: boolean, shown: number}} */
  const state = { open: jobs.some(undone), shown: SHOWN };
  const list = h("div", { class: "tasks" });
  const done = jobs.length - jobs.filter(undone).length;
  const draw = () => {
    /** @type {Map<number, any[]>} */
    const groups = new Map();
    const wanted = jobs.filter((job) => !state.open || undone(job));
    for (const job of wanted.slice(0, state.shown)) groups.set(job.task_id, [...(groups.get(job.task_id) ?? []), job]);
    fill(list, ...[...groups].map(([id, found]) => h("section", { class: "task" }, h("h2", {}, names.get(id) ?? `Task ${id}`),
      h("ul", {}, ...found.sort((a, b) => a.start_frame - b.start_frame).map((job) => card(job, visit))))),
    wanted.length > state.shown && h("button", { onclick: () => { state.shown += SHOWN; draw(); } }, `Show more (${wanted.length - state.shown})`),
    !wanted.length && h("p", { class: "empty" }, jobs.length ? "Everything is completed." : "There is no job yet. Jobs appear here when pictures are uploaded: agir-cvtoolkit upload-cvat"));
    for (const button of root.querySelectorAll(".filter button")) button.setAttribute("aria-pressed", String((button.getAttribute("data-open") === "yes") === state.open));
  };
  const choose = (/** @type {boolean} */ open, /** @type {string} */ text) => h("button", { "data-open": open ? "yes" : "no", onclick: () => { state.open = open; draw(); } }, text);
  root.replaceChildren(h("header", { class: "bar" }, h("h1", {}, icon("brush"), "Jobs"), h("span", { class: "grow" }),
    taskId && h("button", { onclick: () => visit("/") }, "All tasks"), themeButton(),
    h("button", { onclick: async () => { await ask("POST", "/api/auth/logout", {}); visit("/"); } }, "Log out")),
  h("main", { class: "list" }, h("div", { class: "overview" },
    h("div", { class: "filter", role: "group", "aria-label": "Which jobs" }, choose(true, `To do (${jobs.length - done})`), choose(false, `All (${jobs.length})`)),
    jobs.length > 0 && h("label", { class: "done" }, `${done} of ${jobs.length} jobs completed`, h("progress", { max: jobs.length, value: done }))), list));
  draw();
}

/** @param {any} job */
function undone(job) {
  return job.state !== "completed";
}

/** @param {any} job @param {(path: string) => void} visit */
function card(job, visit) {
  const path = `/tasks/${job.task_id}/jobs/${job.id}`;
  const [sign, text] = STATES[job.state] ?? ["○", job.state];
  const kind = KINDS[job.type];
  const open = (/** @type {MouseEvent} */ event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    visit(path);
  };
  return h("li", {}, h("a", { class: "job", href: path, onclick: open, "data-job": job.id, "data-state": job.state },
    preview(`/api/jobs/${job.id}/preview`),
    h("span", { class: "what" }, h("strong", {}, `Job ${job.id}`), h("span", {}, `${job.frame_count} ${job.frame_count === 1 ? "picture" : "pictures"}`, kind ? `, ${kind}` : ""),
      h("span", { class: `state ${job.state.replace(" ", "-")}` }, h("span", { "aria-hidden": "true" }, sign), ` ${text}`))));
}

/** @param {string} path @returns {HTMLElement} a picture that is asked for again while the server is busy */
function preview(path) {
  let wait = 1000;
  const image = h("img", { src: path, alt: "", loading: "lazy", onerror: () => {
    if (wait <= 8000) setTimeout(() => { image.src = path; }, wait);
    wait *= 2;
  } });
  return image;
}

/** @returns {HTMLElement} a button that goes from the system's theme to light to dark */
export function themeButton() {
  const order = /** @type {const} */ (["", "light", "dark"]);
  const button = h("button", { class: "quiet", onclick: () => {
    const settings = readSettings();
    settings.theme = order[(order.indexOf(settings.theme) + 1) % order.length];
    writeSettings(settings);
    applyTheme(settings);
    name();
  } }, icon("theme"));
  const name = () => {
    const text = `Theme: ${readSettings().theme || "as the system"}`;
    button.setAttribute("aria-label", text);
    button.title = text;
  };
  name();
  return button;
}
