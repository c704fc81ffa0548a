import { AppError, invalidField } from "../errors";

/** The target of a request on the Docker API. */
export interface DockerTarget {
  /** the NN of /v1.NN; undefined without a version */
  version: number | undefined;
  /** the decoded segments after the version */
  segments: string[];
  /** the query with its question mark, as the client wrote it */
  search: string;
}

/** Below it, POST /containers/ID/start takes a HostConfig that no policy would judge. */
export const MIN_VERSION = 24;

/** Whether a path is the Docker API's on a port that serves other surfaces too. */
export function isDockerTarget(url: string): boolean {
  return /^\/(?:v1\.\d+(?:[/?]|$)|_ping(?:\?|$))/.test(url);
}

/**
 * Parses the target of a request.
 * @returns undefined if no row can have such a path
 * @throws AppError INVALID_INPUT for a version below 1.24 or a path that can't be decoded
 */
export function parseDockerTarget(url: string): DockerTarget | undefined {
  const start = url.indexOf("?");
  const path = start < 0 ? url : url.slice(0, start);
  const search = start < 0 ? "" : url.slice(start);
  const [, minor, rest = ""] = /^(?:\/v1\.(\d{1,3}))?(\/.*)$/.exec(path) ?? [];
  if (minor !== undefined && Number(minor) < MIN_VERSION) throw tooOld(minor);
  const segments = rest.split("/").slice(1).map(decodeSegment);
  // An empty, `.` or `..` segment means something else to whoever cleans the path.
  if (segments.length === 0 || segments.some((segment) => ["", ".", ".."].includes(segment))) return undefined;
  return { version: minor === undefined ? undefined : Number(minor), segments, search };
}

function tooOld(minor: string): AppError {
  return new AppError("INVALID_INPUT", {
    message: `client version 1.${minor} is too old. Minimum supported API version is 1.${MIN_VERSION}, please upgrade your client to a newer version`,
  });
}

function decodeSegment(segment: string): string {
  let decoded: string;
  try {
    decoded = decodeURIComponent(segment);
  } catch {
    throw invalidField("path", "must be percent-encoded UTF-8");
  }
  if (/[\0-\x1f\x7f]/.test(decoded)) throw invalidField("path", "must not hold control characters");
  // `%2F` in a segment: what is one segment here would be two to the engine.
  if (decoded.split("/").some((part) => part === "." || part === ".." || (part === "" && decoded.includes("/"))))
    throw invalidField("path", "must not hold empty or relative segments");
  return decoded;
}

/** The path of the Engine API that the parsed segments and query make. */
export function formatTarget(version: number | undefined, segments: readonly string[], query: URLSearchParams): string {
  const path = segments.flatMap((segment) => segment.split("/")).map(encodeURIComponent);
  const text = query.toString();
  return `${version === undefined ? "" : `/v1.${version}`}/${path.join("/")}${text === "" ? "" : `?${text}`}`;
}
