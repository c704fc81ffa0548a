import { hopByHopMatcher, type RawHeaders, type ResponseHead } from "./http1/message-head";
import { isCookieOf } from "./request-headers";

/** Headers that affect the whole origin, which belongs to this server. */
export const ORIGIN_WIDE = new Set([
  "service-worker-allowed",
  "clear-site-data",
  "strict-transport-security",
  "public-key-pins",
  "alt-svc",
  "nel",
  "report-to",
  "origin-agent-cluster",
]);

/** CORS headers that may occur only once: browsers refuse access if one is repeated. */
export const CORS_ACCESS = new Set(["access-control-allow-origin", "access-control-allow-credentials"]);

/** Gives the pages of a container an opaque origin: they can't call the API with the user's credentials. */
export const SANDBOX_POLICY = "sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts";

/** The end-to-end headers of an upstream response, without those that this server sets itself or that its status must not have. */
export function endToEndHeaders({ status, headers }: ResponseHead): RawHeaders {
  const isHopByHop = hopByHopMatcher(headers);
  const forwarded: RawHeaders = [];
  // RFC 9110, section 8.6: a 1xx or a 204 has no Content-Length; some clients would wait for a body.
  let hasLength = status < 200 || status === 204;
  for (let index = 0; index < headers.length; index += 2) {
    const name = (headers[index] as string).toLowerCase();
    if (isHopByHop(name) || name === "x-request-id") continue;
    if (name === "content-length") {
      // A repeated, equal length counts once (RFC 9112, section 6.3).
      if (hasLength) continue;
      hasLength = true;
      forwarded.push("Content-Length", (headers[index + 1] as string).split(",")[0]?.trim() ?? "");
    } else forwarded.push(headers[index] as string, headers[index + 1] as string);
  }
  return forwarded;
}

/** How the headers of a container are confined. */
export interface Confinement {
  /** path under which the client sees the container */
  prefix: string;
  /** whether the container's pages share their origin with the API */
  sandbox: boolean;
  /** name of this server's session cookie */
  sessionCookie: string;
  /** whether this server has set the CORS headers itself */
  hasOwnCors: boolean;
}

/**
 * Replaces each Location that has the address at which this server reaches the container, which its clients can't, by its path.
 * @param address host and port, as they were in the Host header of the request
 */
export function withoutUpstreamAddress(headers: RawHeaders, address: string): RawHeaders {
  return headers.map((value, index) => (index % 2 === 1 && isLocation(headers[index - 1]) ? toPath(value, address) : value));
}

const isLocation = (name: string | undefined) => name?.toLowerCase() === "location";

function toPath(location: string, address: string): string {
  const [, authority = "", rest = ""] = /^(?:https?:)?\/\/([^/?#\\]*)(.*)$/is.exec(location) ?? [];
  // A path that begins with two slashes would be read as another host.
  if (authority.toLowerCase() !== address.toLowerCase() || /^[/\\]{2}/.test(rest)) return location;
  return rest.startsWith("/") ? rest : `/${rest}`;
}

/** Puts a Location that is an absolute path below the prefix, unless the container knows its prefix and has done so. */
function confineLocation(location: string, prefix: string): string {
  const isElsewhere = !location.startsWith("/") || location.startsWith("//");
  const isBelow = location.startsWith(prefix) && /^(?:[/?#]|$)/.test(location.slice(prefix.length));
  return isElsewhere || isBelow ? location : prefix + location;
}

/** Removes or restricts the headers by which a container could affect more than its own path. */
export function confineToPrefix(headers: RawHeaders, { prefix, sandbox, sessionCookie, hasOwnCors }: Confinement): RawHeaders {
  const confined: RawHeaders = [];
  for (let index = 0; index < headers.length; index += 2) {
    const name = (headers[index] as string).toLowerCase();
    const value = headers[index + 1] as string;
    if (ORIGIN_WIDE.has(name) || (hasOwnCors && CORS_ACCESS.has(name))) continue;
    if (name === "location") confined.push(headers[index] as string, confineLocation(value, prefix));
    else if (name !== "set-cookie") confined.push(headers[index] as string, value);
    else if (!isCookieOf(value, sessionCookie)) confined.push(headers[index] as string, confineCookie(value, prefix));
  }
  if (sandbox) confined.push("Content-Security-Policy", SANDBOX_POLICY);
  return confined;
}

/** Restricts a Set-Cookie value to paths below the prefix. */
function confineCookie(cookie: string, prefix: string): string {
  const [pair = "", ...attributes] = cookie.split(";").map((part) => part.trim());
  const others = attributes.filter((attribute) => !/^(?:domain|path)\s*(?:=|$)/i.test(attribute));
  const paths = attributes.flatMap((attribute) => /^path\s*=\s*(\/.*)$/i.exec(attribute)?.[1] ?? []);
  return [pair, ...others, `Path=${prefix}${paths.at(-1) ?? "/"}`].join("; ");
}
