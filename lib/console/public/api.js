// The requests of the console. It uses the public API only.

const STORAGE_KEY = "docker-server credentials";
const REMEMBERED_LIFETIME = "12h";

/** @typedef {{user: string, full: boolean, can: string[], caveats?: {labels?: unknown}[], expires?: string}} Identity */

/** The value of the Authorization header; empty while nobody is signed in. It never becomes part of a URL. */
let authorization = sessionStorage.getItem(STORAGE_KEY) ?? localStorage.getItem(STORAGE_KEY) ?? "";
/** Whether the server has accepted the credentials: only then can it stop to. */
let isSignedIn = authorization !== "";
/** @type {() => void} */
let onRefused = () => undefined;
/** @type {(isReached: boolean) => void} */
let onReached = () => undefined;

/** An error answer of the server, or a server that can't be reached (status 0). */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} message
   */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** @param {() => void} listener called when the server no longer accepts the credentials */
export function whenRefused(listener) {
  onRefused = listener;
}

/**
 * @param {(isReached: boolean) => void} listener called after each request: whether the server has answered
 * @returns {() => void} ends it
 */
export function watchReachability(listener) {
  onReached = listener;
  return () => {
    onReached = () => undefined;
  };
}

export const hasCredentials = () => authorization !== "";

/**
 * Sends a request. The browser adds no cookie and no stored password, and shows no dialog of its own.
 * @param {string} method
 * @param {string} path
 * @param {{json?: unknown, body?: BodyInit, accept?: string, type?: string, signal?: AbortSignal | undefined}} [options]
 * @returns {Promise<Response>} with a status below 400
 * @throws {ApiError}
 */
export async function send(method, path, { json, body, accept = "application/json", type, signal } = {}) {
  /** @type {Record<string, string>} */
  const headers = { Accept: accept };
  if (authorization !== "") headers["Authorization"] = authorization;
  if (json !== undefined) headers["Content-Type"] = "application/json";
  else if (type !== undefined) headers["Content-Type"] = type;
  const sent = json === undefined ? body : JSON.stringify(json);
  const response = await fetch(path, {
    method,
    headers,
    credentials: "omit",
    cache: "no-store",
    ...(sent === undefined ? {} : { body: sent }),
    ...(signal ? { signal } : {}),
  }).catch((/** @type {Error} */ error) => {
    if (error.name === "AbortError") throw error;
    onReached(false);
    throw new ApiError(0, "UNREACHABLE", error.message);
  });
  onReached(true);
  if (response.status < 400) return response;
  const answer = await response.json().catch(() => ({}));
  if (response.status === 401 && isSignedIn) {
    forget();
    onRefused();
  }
  throw new ApiError(response.status, String(answer.code ?? ""), String(answer.message ?? response.statusText));
}

/**
 * Sends a request and reads its JSON.
 * @param {string} method
 * @param {string} path
 * @param {{json?: unknown, signal?: AbortSignal | undefined}} [options]
 * @returns {Promise<any>}
 */
export const call = async (method, path, options) => (await send(method, path, options)).json();

/**
 * The lines of a text stream, in groups as they arrive. The next ones are read only when these have been taken.
 * @param {Response} response
 * @param {number} [maxChars] of a line; a longer one is cut, and ends with an ellipsis
 * @returns {AsyncGenerator<string[]>}
 */
export async function* linesOf(response, maxChars = Number.POSITIVE_INFINITY) {
  const cut = (/** @type {string} */ line) => (line.length > maxChars ? `${line.slice(0, maxChars)}…` : line);
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
      // One character more than is kept tells that the line is cut.
      rest = (lines.pop() ?? "").slice(0, maxChars + 1);
      if (lines.length > 0) yield lines.map(cut);
    }
    if (rest !== "") yield [cut(rest)];
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/**
 * Signs in, for this tab.
 * @param {{token: string} | {user: string, password: string}} credentials
 * @returns {Promise<Identity>}
 */
export async function signIn(credentials) {
  const pair = "token" in credentials ? undefined : new TextEncoder().encode(`${credentials.user}:${credentials.password}`);
  authorization = "token" in credentials ? `Bearer ${credentials.token}` : `Basic ${btoa(String.fromCharCode(...(pair ?? [])))}`;
  const identity = await whoami().catch((error) => {
    forget();
    throw error;
  });
  sessionStorage.setItem(STORAGE_KEY, authorization);
  isSignedIn = true;
  return identity;
}

/** @returns {Promise<Identity>} */
export const whoami = () => call("GET", "/whoami");

/**
 * Keeps a narrower token in this browser: what the client may do without making tokens, for 12 hours.
 * @param {Identity} identity
 */
export async function remember({ can }) {
  const { token } = await call("POST", "/tokens", { json: { can: can.filter((each) => each !== "admin"), expires: REMEMBERED_LIFETIME } });
  localStorage.setItem(STORAGE_KEY, `Bearer ${token}`);
}

/** Signs out, in this tab and from what is remembered. */
export function forget() {
  authorization = "";
  isSignedIn = false;
  sessionStorage.removeItem(STORAGE_KEY);
  localStorage.removeItem(STORAGE_KEY);
}

/**
 * A path of one container on its node.
 * @param {{id: string, host?: string}} container
 * @param {string} rest such as "/stop"
 * @param {Record<string, string>} [query]
 */
export function containerPath({ id, host }, rest, query = {}) {
  const text = new URLSearchParams({ ...query, ...(host ? { node: host } : {}) }).toString();
  return `/containers/${encodeURIComponent(id)}${rest}${text === "" ? "" : `?${text}`}`;
}

/**
 * Has the browser download a file or a folder of a container by a ticket: the bytes never pass through the page.
 * @param {{id: string, host?: string}} container
 * @param {"/download" | "/download-zip"} route
 * @param {string} path in the container
 * @throws {ApiError} if there is no such file
 */
export async function downloadByTicket(container, route, path) {
  const { ticket } = await call("POST", containerPath(container, `${route}/ticket`, { path }));
  followDownload(containerPath(container, route, { path, ticket }), "");
}

/**
 * Has the browser save what is at an address.
 * @param {string} url
 * @param {string} name of the file; empty to leave it to the server
 */
export function followDownload(url, name) {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
}

/**
 * Gives a body to the user as a file.
 * @param {Response} response
 * @param {string} name
 */
export async function saveAs(response, name) {
  const url = URL.createObjectURL(new Blob([await response.arrayBuffer()], { type: "application/octet-stream" }));
  followDownload(url, name);
  URL.revokeObjectURL(url);
}
