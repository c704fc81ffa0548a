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
  if (changesState && origin === undefined && FOREIGN_FETCH_SITES.has(fetchSite)) throw new AppError("CROSS_SITE");
  // The same-origin policy doesn't keep a foreign page from reading a WebSocket.
  if (!changesState && !request.upgradeOffer) return;
  if (origin === undefined || allowedOrigins.includes(origin)) return;
  const host = URL.canParse(origin) ? new URL(origin).host : origin;
  if (host !== request.host) throw new AppError("CROSS_SITE", { details: { origin } });
}
