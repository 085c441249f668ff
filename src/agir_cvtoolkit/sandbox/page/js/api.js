/** The server: CVAT's interface, asked with the browser's own session. */

const PATIENCE_MS = 60000;
const WAITS_MS = [500, 1000, 2000, 4000, 8000];
const LONGEST_WAIT_MS = 30000;

/** The server has answered, but not with success. */
export class Refused extends Error {
  /** @param {number} status @param {string} text @param {number} [waitMs] how long the server wants to be left alone */
  constructor(status, text, waitMs = 0) {
    super(text);
    this.status = status;
    this.waitMs = waitMs;
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

/**
 * Does a piece of reading again while the server is busy or away, longer apart each time, as long as it asks for.
 * @template T
 * @param {() => Promise<T>} read
 * @param {(error: Error) => boolean} [goesOn] told of each failure before the wait; false gives up
 * @returns {Promise<T>}
 * @throws {Refused | Unreachable} the last failure
 */
export async function patiently(read, goesOn = () => true) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await read();
    } catch (error) {
      const passing = error instanceof Unreachable || (error instanceof Refused && error.passing);
      if (!passing || attempt === WAITS_MS.length || !goesOn(error)) throw error;
      const asked = error instanceof Refused ? error.waitMs : 0;
      await new Promise((resolve) => setTimeout(resolve, Math.min(LONGEST_WAIT_MS, Math.max(asked, WAITS_MS[attempt]))));
    }
  }
}

/** @param {string} path with a query already @returns {Promise<any[]>} all entries of a list */
export async function pages(path) {
  const found = [];
  for (let page = 1; ; page += 1) {
    const answer = await patiently(() => ask("GET", `${path}&page_size=100&page=${page}`));
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
  const wait = 1000 * (Number(response.headers.get("Retry-After")) || 0);
  throw new Refused(response.status, reason(response.status, await response.text().catch(() => "")), wait);
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
