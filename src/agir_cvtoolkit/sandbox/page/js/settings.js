/** What a person has set on this computer: remembered in the browser, never sent. */

const KEY = "agir-cvtoolkit.page";

/**
 * @typedef {{brush: number, opacity: number, brightness: number, contrast: number, patterns: boolean,
 *   outline: "" | "mask" | "polygon", theme: "" | "light" | "dark"}} Settings
 */

/** @type {Settings} */
const FIRST = { brush: 20, opacity: 0.35, brightness: 1, contrast: 1, patterns: true, outline: "", theme: "" };

/** @returns {Settings} */
export function readSettings() {
  /** @type {any} */
  let found = {};
  try {
    found = JSON.parse(localStorage.getItem(KEY) ?? "{}");
  } catch {
    found = {};
  }
  const known = Object.entries(found ?? {}).filter(([name, value]) => typeof value === typeof (/** @type {any} */ (FIRST)[name]));
  return { ...FIRST, ...Object.fromEntries(known) };
}

/** @param {Settings} settings */
export function writeSettings(settings) {
  try {
    localStorage.setItem(KEY, JSON.stringify(settings));
  } catch {
    return; // a browser that remembers nothing: they hold until the page is closed
  }
}

/** Light or dark as set, else as the system is. @param {Settings} settings */
export function applyTheme(settings) {
  if (settings.theme) document.documentElement.dataset.theme = settings.theme;
  else delete document.documentElement.dataset.theme;
}
