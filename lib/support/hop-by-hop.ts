/** Header fields of a single connection, which a proxy must not forward (RFC 9110, section 7.6.1); names in lower case. */
export const HOP_BY_HOP_HEADERS = [
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "transfer-encoding",
  "upgrade",
] as const;
