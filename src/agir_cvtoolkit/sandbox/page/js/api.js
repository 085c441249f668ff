/** The server: CVAT's interface, asked with the browser's own session. */

const PATIENCE_MS = 60000;

/** The server has answered, but not with success. */
export class Refused extends Error {
  /** @param {number} status @param {string} text */
  constructor(status, text) {
    super(text);
    this.status = status;
  }

  /** Whether the same request may succeed later. */
  get passing() {
    return this.status >= 500 || this.status === 429 || this.status === 408;
  }
}

/** Nobody has answered; what was sent may have arrived all the same. */
export class Unreachable extends Error {}

/**
 * @param {string} method @param {string} path @param {unknown} [content] sent as JSON
 * @returns {Promise<any>} the answer's JSON, or null for an empty one
 * @throws {Refused | Unreachable}
 */
export async function ask(method, path, content) {
  const response = await send(method, path, content);
  try {
    const text = await response.text();
    return text ? JSON.parse(text) : null;
  } catch (error) {
    throw new Unreachable(`The answer broke off (${error}).`);
  }
}

/** @param {string} path @returns {Promise<Blob>} @throws {Refused | Unreachable} */
export async function blob(path) {
  const response = await send("GET", path);
  try {
    return await response.blob();
  } catch (error) {
    throw new Unreachable(`The picture broke off (${error}).`);
  }
}

/** @param {string} path with a query already @returns {Promise<any[]>} all entries of a list */
export async function pages(path) {
  const found = [];
  for (let page = 1; ; page += 1) {
    const answer = await ask("GET", `${path}&page_size=100&page=${page}`);
    found.push(...answer.results);
    if (!answer.next) return found;
  }
}

/** @param {string} username @param {string} password */
export async function logIn(username, password) {
  await ask("POST", "/api/auth/login", { username, password });
}

/** @param {string} method @param {string} path @param {unknown} [content] @returns {Promise<Response>} */
async function send(method, path, content) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/vnd.cvat+json, application/json, */*" };
  if (content !== undefined) headers["Content-Type"] = "application/json";
  const token = /(?:^|; )csrftoken=([^;]*)/.exec(document.cookie);
  if (token && method !== "GET") headers["X-CSRFToken"] = decodeURIComponent(token[1]);
  const watch = new AbortController();
  const timer = setTimeout(() => watch.abort(), PATIENCE_MS);
  let response;
  try {
    const body = content === undefined ? undefined : JSON.stringify(content);
    response = await fetch(path, { method, headers, body, signal: watch.signal, credentials: "same-origin" });
  } catch {
    throw new Unreachable("The server does not answer.");
  } finally {
    clearTimeout(timer);
  }
  if (response.ok) return response;
  throw new Refused(response.status, reason(response.status, await response.text().catch(() => "")));
}

/** @param {number} status @param {string} text @returns {string} what the server says, in one line */
function reason(status, text) {
  let said = "";
  try {
    said = flat(JSON.parse(text));
  } catch {
    said = /<title>([^<]*)/.exec(text)?.[1] ?? text.slice(0, 200);
  }
  return said ? `${said} (${status})` : `The server answered ${status}.`;
}

/** @param {any} value @returns {string} */
function flat(value) {
  if (Array.isArray(value)) return value.map(flat).filter(Boolean).join("; ");
  if (value && typeof value === "object") {
    return Object.entries(value).map(([key, inner]) => (key === "detail" || key === "non_field_errors" ? flat(inner) : `${key}: ${flat(inner)}`)).join("; ");
  }
  return String(value);
}
