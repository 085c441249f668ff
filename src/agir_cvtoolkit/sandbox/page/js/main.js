/** Begins: who is there, and which page the address names. */

import { ask, patiently, Refused } from "./api.js";
import { h } from "./dom.js";
import { openJob } from "./editor.js";
import { logInOn } from "./login.js";
import { showList } from "./taskList.js";
import { applyTheme, readSettings } from "./settings.js";

const root = /** @type {HTMLElement} */ (document.getElementById("app"));
/** @type {import("./editor.js").Editor | null} */
let editor = null;
let turn = 0;

/** Goes to an address of this server without loading the page anew. @param {string} path */
function visit(path) {
  history.pushState(null, "", path);
  void show();
}

async function show() {
  const mine = (turn += 1);
  editor?.close();
  editor = null;
  try {
    const self = await patiently(() => ask("GET", "/api/users/self"));
    const job = /^\/tasks\/\d+\/jobs\/(\d+)$/.exec(location.pathname);
    const task = /^\/tasks\/(\d+)$/.exec(location.pathname);
    if (!job) {
      await showList(root, task ? Number(task[1]) : null, visit);
      return;
    }
    const opened = await openJob(root, Number(job[1]), self.id, () => visit("/"));
    if (mine === turn) editor = opened;
    else opened.close();
  } catch (error) {
    if (error instanceof Refused && error.status === 401) {
      await logInOn(root);
      void show();
      return;
    }
    root.replaceChildren(h("main", { class: "welcome" }, h("div", { class: "card" }, h("h1", {}, "This cannot be shown"),
      h("p", { class: "error", role: "alert" }, error instanceof Error ? error.message : String(error)),
      h("div", { class: "answers" }, h("button", { onclick: () => visit("/") }, "All jobs"), h("button", { class: "primary", onclick: () => show() }, "Try again")))));
    if (!(error instanceof Refused) && error instanceof TypeError) throw error;
  }
}

applyTheme(readSettings());
window.addEventListener("popstate", async () => {
  if (editor && !(await editor.mayLeave())) history.pushState(null, "", `/tasks/${editor.job.task_id}/jobs/${editor.job.id}`);
  else void show();
});
void show();
