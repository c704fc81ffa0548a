import type { Request } from "express";
import { PEER_HEADER } from "../cluster/rpc/signatures";
import { plainAddress } from "../support/plain-address";
import { headerValues, hopByHopMatcher, type RawHeaders } from "./http1/message-head";
import { requestBodyFraming } from "./http1/request-body";

/** This server's name in `Via` (RFC 9110, section 7.6.3). */
const VIA_PSEUDONYM = "docker-server";

/** Headers that this server sets anew, or that are for it alone. */
export const REPLACED_OR_WITHHELD = new Set([
  "host",
  "content-length",
  "expect",
  "via",
  "forwarded",
  "max-forwards",
  "x-real-ip",
  "x-request-id",
  "x-access-token",
  "x-forward-authorization",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-forwarded-port",
  "x-forwarded-prefix",
  // Other names under which servers look for the same.
  "x-forwarded-scheme",
  "x-forwarded-protocol",
  "x-forwarded-ssl",
  "x-forwarded-server",
  "x-client-ip",
  "x-cluster-client-ip",
  PEER_HEADER,
]);

/** The name under which CGI, WSGI and similar servers read a header: they don't tell an underscore from a hyphen. */
export function withHyphens(name: string): string {
  return name.includes("_") ? name.replaceAll("_", "-") : name;
}

/** Credentials of this server that a container must not see. */
export interface WithheldCredentials {
  /** whether the Authorization header is for this server */
  authorization: boolean;
  /** whether the X-API-Key header is for this server */
  apiKey?: boolean;
  /** name of this server's session cookie */
  cookie: string;
}

/**
 * The headers that a client's request is forwarded with: without hop-by-hop headers and credentials, and with the forwarding
 * headers that describe the client (RFC 9110, section 7.6).
 * @param prefix path under which the client sees the container
 */
export function clientRequestHeaders(request: Request, prefix: string, withheld: WithheldCredentials, requestId: string): RawHeaders {
  const { rawHeaders, httpVersion } = request;
  const isHopByHop = hopByHopMatcher(rawHeaders);
  const headers: RawHeaders = [];
  // X-Forwarded-For is believed if a trusted load balancer sent it; any client can write one.
  const trusted: boolean = request.app.get("trust proxy fn")(request.socket.remoteAddress, 0);
  let via = "";
  let forwardedFor = "";
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const rawName = rawHeaders[index] as string;
    const value = rawHeaders[index + 1] as string;
    const name = rawName.toLowerCase();
    if (name === "via") via += `${value}, `;
    else if (name === "x-forwarded-for" && trusted) forwardedFor += `${value}, `;
    const readName = withHyphens(name);
    if (isHopByHop(readName) || REPLACED_OR_WITHHELD.has(readName) || (name === "authorization" && withheld.authorization)) continue;
    if (readName === "x-api-key" && withheld.apiKey) continue;
    const forwardedValue = name === "cookie" ? withoutCookie(value, withheld.cookie) : value;
    if (name !== "cookie" || forwardedValue !== "") headers.push(rawName, forwardedValue);
  }
  headers.push("Via", `${via}${httpVersion} ${VIA_PSEUDONYM}`);
  headers.push("X-Forwarded-For", forwardedFor + (plainAddress(request.socket.remoteAddress) || "unknown"));
  headers.push("X-Forwarded-Proto", request.protocol, "X-Forwarded-Host", request.host ?? "", "X-Forwarded-Prefix", prefix);
  headers.push("X-Request-Id", requestId);
  const maxForwards = request.headers["max-forwards"];
  if (maxForwards !== undefined)
    headers.push("Max-Forwards", request.method === "OPTIONS" ? String(Number(maxForwards) - 1) : String(maxForwards));
  return headers;
}

/** The headers that a request of another node is forwarded to the container with; that node has made them by `clientRequestHeaders`. */
export function peerRequestHeaders({ rawHeaders }: Request): RawHeaders {
  const isHopByHop = hopByHopMatcher(rawHeaders);
  const headers: RawHeaders = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] as string).toLowerCase();
    if (!isHopByHop(name) && name !== "host" && name !== "content-length" && name !== "expect" && name !== PEER_HEADER)
      headers.push(rawHeaders[index] as string, rawHeaders[index + 1] as string);
  }
  return headers;
}

/**
 * The headers of the upstream connection and of the body's framing.
 * @param host for the Host header
 * @param upgrade the offered protocol, if any
 */
export function connectionHeaders(request: Request, host: string, upgrade: string | undefined): RawHeaders {
  const { headers } = request;
  const framing = requestBodyFraming(request);
  const acceptsTrailers = /\btrailers\b/i.test(String(headers.te));
  const options = [...(upgrade === undefined ? [] : ["Upgrade"]), ...(acceptsTrailers ? ["TE"] : [])];
  return [
    "Host",
    host,
    ...(options.length > 0 ? ["Connection", options.join(", ")] : []),
    ...(upgrade === undefined ? [] : ["Upgrade", upgrade]),
    ...(acceptsTrailers ? ["TE", "trailers"] : []),
    ...(headers.expect === undefined ? [] : ["Expect", headers.expect]),
    ...(framing === "chunked" ? ["Transfer-Encoding", "chunked"] : []),
    ...(headers["content-length"] === undefined || framing === "chunked" ? [] : ["Content-Length", headers["content-length"]]),
  ];
}

/**
 * Gives an upgrade from a page of this server's own origin the container's address as its Origin: a server that compares Origin with
 * Host then takes it for its own page. An Origin of another site stays what it is.
 * @param headers with X-Forwarded-Host, which is this server's own
 * @param host of the Host header
 */
export function withUpstreamOrigin(headers: RawHeaders, host: string): RawHeaders {
  const [forwardedHost = ""] = headerValues(headers, "x-forwarded-host");
  return headers.map((value, index) => {
    if (index % 2 === 0 || headers[index - 1]?.toLowerCase() !== "origin") return value;
    const [, scheme, originHost = ""] = /^(https?:\/\/)(.+)$/i.exec(value) ?? [];
    return originHost !== "" && originHost.toLowerCase() === forwardedHost.toLowerCase() ? `${scheme}${host}` : value;
  });
}

/** Removes the cookies of this name from a Cookie header. */
function withoutCookie(header: string, name: string): string {
  if (!header.includes(name)) return header;
  const others = header.split(";").filter((pair) => !isCookieOf(pair, name));
  return others.join(";").trim();
}

/**
 * Whether a cookie pair, or a Set-Cookie value, is of this name, or of none and with a value that is sent like this name: browsers ignore
 * whitespace around a name (RFC 6265, section 5.2) and leave out the equals sign of an empty one.
 */
export function isCookieOf(pair: string, name: string): boolean {
  const [cookieName = "", ...value] = pair.replace(/^[\s=]+/, "").split("=");
  return cookieName.trim() === name && value.length > 0;
}
