import type { Request } from "express";
import { AppError } from "../errors";

/** Methods of requests that change nothing (RFC 9110, section 9.2.1). */
export const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);
/** `Sec-Fetch-Site` of requests that a page of another origin caused (Fetch Metadata, section 2.3). */
const FOREIGN_FETCH_SITES = new Set(["cross-site", "same-site"]);

/**
 * Refuses a request that changes something, or offers an upgrade, if a page of another origin caused it: browsers send a user's
 * stored credentials along with such a request.
 * @param allowedOrigins origins whose pages may do so, besides our own
 * @throws AppError CROSS_SITE
 */
export function refuseCrossSite(request: Request, allowedOrigins: string[]): void {
  const { origin, "sec-fetch-site": fetchSite = "" } = request.headers;
  // HEAD counts as a change because it pulls images. Browsers send its Origin only if the page is to read the response.
  const changesState = request.method === "HEAD" || !SAFE_METHODS.has(request.method);
  // The same-origin policy doesn't keep a foreign page from reading a WebSocket.
  if (!changesState && !request.upgradeOffer) return;
  if (origin !== undefined && allowedOrigins.includes(origin)) return;
  if (fetchSite === "same-origin") return;
  if (!FOREIGN_FETCH_SITES.has(String(fetchSite)) && (origin === undefined || isOwnOrigin(request, origin))) return;
  const message = "Requests from pages of another origin are refused; --cors_origin permits those of some";
  throw new AppError("CROSS_SITE", { message, details: origin === undefined ? {} : { origin } });
}

/** Whether an origin is the scheme, host and port that the request was sent to (RFC 6454, section 5). */
function isOwnOrigin({ protocol, host, headers }: Request, origin: string): boolean {
  const wanted = originOf(origin);
  return wanted !== undefined && [protocol, forwardedProtocol(headers)].some((scheme) => originOf(`${scheme}://${host}`) === wanted);
}

/**
 * The scheme that a load balancer in front reports; empty if none does. It may come from an untrusted one: only for decisions against
 * pages of browsers, which can't set this header.
 */
export function forwardedProtocol(headers: Request["headers"]): string {
  const [protocol = ""] = String(headers["x-forwarded-proto"] ?? "").split(",");
  return protocol.trim().toLowerCase();
}

/** A URL's origin, without the default port of its scheme; undefined if it isn't one of HTTP. */
function originOf(url: string): string | undefined {
  return /^https?:\/\//i.test(url) && URL.canParse(url) ? new URL(url).origin : undefined;
}
