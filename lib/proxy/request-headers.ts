import type { Request } from "express";
import { PEER_HEADER } from "../cluster/rpc/signatures";
import { hopByHop, type RawHeaders } from "./http1/message-head";
import { requestFraming } from "./http1/request-body";

/** This server's name in `Via`. */
const PSEUDONYM = "docker-server";

/** What is said anew, and what only this server may be told. */
const OWN = new Set([
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
  PEER_HEADER,
]);

/** What is kept from the container. */
export interface Secrets {
  /** whether the Authorization is this server's */
  authorization: boolean;
  /** name of the cookie that is this server's */
  cookie: string;
}

/**
 * The headers of a client's request, as they go on: without what was between the two, with what the other end has to know
 * of the client (RFC 9110, section 7.6).
 * @param prefix path under which the client sees the container
 */
export function clientHeaders(request: Request, prefix: string, secrets: Secrets, request_id: string): RawHeaders {
  const { rawHeaders, httpVersion } = request;
  const isHop = hopByHop(rawHeaders);
  const headers: RawHeaders = [];
  // Only of who sent it: what came from a load balancer is to be believed, what any client wrote is not.
  const trusted: boolean = request.app.get("trust proxy fn")(request.socket.remoteAddress, 0);
  let via = "";
  let before = "";
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const written = rawHeaders[at] as string;
    const value = rawHeaders[at + 1] as string;
    const name = written.toLowerCase();
    if (name === "via") via += `${value}, `;
    else if (name === "x-forwarded-for" && trusted) before += `${value}, `;
    if (isHop(name) || OWN.has(name) || (name === "authorization" && secrets.authorization)) continue;
    if (name !== "cookie") headers.push(written, value);
    else if (otherCookies(value, secrets.cookie) !== "") headers.push(written, otherCookies(value, secrets.cookie));
  }
  headers.push("Via", `${via}${httpVersion} ${PSEUDONYM}`);
  headers.push("X-Forwarded-For", before + (request.socket.remoteAddress ?? "unknown"));
  headers.push("X-Forwarded-Proto", request.protocol, "X-Forwarded-Host", request.host ?? "", "X-Forwarded-Prefix", prefix);
  headers.push("X-Request-Id", request_id);
  const hops = request.headers["max-forwards"];
  if (hops !== undefined) headers.push("Max-Forwards", request.method === "OPTIONS" ? String(Number(hops) - 1) : String(hops));
  return headers;
}

/** The headers of another node's request, as they go on to the container: it has prepared them. */
export function nodeHeaders({ rawHeaders }: Request): RawHeaders {
  const isHop = hopByHop(rawHeaders);
  const headers: RawHeaders = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] as string).toLowerCase();
    if (!isHop(name) && name !== "host" && name !== "content-length" && name !== "expect" && name !== PEER_HEADER)
      headers.push(rawHeaders[at] as string, rawHeaders[at + 1] as string);
  }
  return headers;
}

/**
 * What is said of the connection and the body, whoever is at the other end.
 * @param host the other end's
 * @param upgrade the protocol that is offered, if one is
 */
export function connectionHeaders(request: Request, host: string, upgrade: string | undefined): RawHeaders {
  const { headers } = request;
  const framing = requestFraming(request);
  const trailers = /\btrailers\b/i.test(String(headers.te));
  const options = [...(upgrade === undefined ? [] : ["Upgrade"]), ...(trailers ? ["TE"] : [])];
  return [
    "Host",
    host,
    ...(options.length > 0 ? ["Connection", options.join(", ")] : []),
    ...(upgrade === undefined ? [] : ["Upgrade", upgrade]),
    ...(trailers ? ["TE", "trailers"] : []),
    ...(headers.expect === undefined ? [] : ["Expect", headers.expect]),
    ...(framing === "chunked" ? ["Transfer-Encoding", "chunked"] : []),
    ...(headers["content-length"] === undefined || framing === "chunked" ? [] : ["Content-Length", headers["content-length"]]),
  ];
}

function otherCookies(value: string, own: string): string {
  if (!value.includes(own)) return value;
  const kept = value.split(";").filter((pair) => !pair.trim().startsWith(`${own}=`));
  return kept.join(";").trim();
}
