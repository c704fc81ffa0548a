import { hopByHopMatcher, type RawHeaders } from "./http1/message-head";
import { REPLACED_OR_WITHHELD, withHyphens } from "./request-headers";
import { CORS_ACCESS, ORIGIN_WIDE } from "./response-headers";

/**
 * Fields for framing, routing, authentication and content, which must not be trailers (RFC 9110, section 6.5.1), and those that the proxy
 * makes, withholds or confines in a head: some receivers add trailers to the head.
 */
const FORBIDDEN_TRAILERS = new Set([
  ...REPLACED_OR_WITHHELD,
  ...ORIGIN_WIDE,
  ...CORS_ACCESS,
  "trailer",
  "authorization",
  "www-authenticate",
  "cookie",
  "set-cookie",
  "content-encoding",
  "content-range",
  "content-security-policy",
  "content-type",
  "location",
]);

/** Removes the trailers of a request or a response that a proxy must not forward. */
export function forwardableTrailers(trailers: RawHeaders): RawHeaders {
  const isHopByHop = hopByHopMatcher(trailers);
  const forwarded: RawHeaders = [];
  for (let index = 0; index < trailers.length; index += 2) {
    const name = withHyphens((trailers[index] as string).toLowerCase());
    if (!isHopByHop(name) && !FORBIDDEN_TRAILERS.has(name)) forwarded.push(trailers[index] as string, trailers[index + 1] as string);
  }
  return forwarded;
}
