/** The form that asks who is there: a page of its own, or laid over unsaved work. */

import { logIn, Refused } from "./api.js";
import { h, icon } from "./dom.js";

/** @param {() => void} done @returns {HTMLElement} */
function form(done) {
  const message = h("p", { class: "error", role: "alert" });
  const name = h("input", { id: "username", name: "username", autocomplete: "username", required: true });
  const password = h("input", { id: "password", name: "password", type: "password", autocomplete: "current-password", required: true });
  const button = h("button", { class: "primary", type: "submit" }, "Log in");
  return h("form", {
    class: "login",
    onsubmit: async (/** @type {Event} */ event) => {
      event.preventDefault();
      button.disabled = true;
      message.textContent = "";
      try {
        await logIn(name.value, password.value);
        done();
      } catch (error) {
        const wrong = error instanceof Refused && error.status === 400;
        message.textContent = wrong ? "User name or password is wrong." : `${error instanceof Error ? error.message : error}`;
        password.select();
      } finally {
        button.disabled = false;
      }
    },
  }, h("label", { for: "username" }, "User name"), name, h("label", { for: "password" }, "Password"), password, message, button,
  h("p", { class: "note" }, "They are those with which the sandbox was started: admin and admin123, unless told otherwise."));
}

/** @param {HTMLElement} root @returns {Promise<void>} when somebody has logged in */
export function logInOn(root) {
  return new Promise((resolve) => {
    root.replaceChildren(h("main", { class: "welcome" }, h("div", { class: "card" }, h("h1", {}, icon("brush"), "Log in to annotate"), form(resolve))));
    /** @type {HTMLElement} */ (root.querySelector("#username")).focus();
  });
}

/** @type {Promise<void> | null} */
let asking = null;

/** Asks over the open page, so that nothing is lost. @returns {Promise<void>} */
export function logInOver() {
  asking ??= new Promise((resolve) => {
    const dialog = h("dialog", { class: "dialog", "aria-label": "Log in again" }, h("h2", {}, "Please log in again"),
      h("p", {}, "The session has ended. Your changes are still here."), form(() => {
        dialog.remove();
        asking = null;
        resolve();
      }));
    dialog.addEventListener("cancel", (/** @type {Event} */ event) => event.preventDefault());
    document.body.append(dialog);
    dialog.showModal();
  });
  return asking;
}
