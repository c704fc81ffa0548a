/** The parts of a request target for a container, undecoded. */
export interface ProxyTarget {
  /** name or id of the container */
  id: string;
  /** `/proxy/{id}` as the client wrote it */
  prefix: string;
  /** the rest of the path, from the slash after the prefix */
  path: string;
  /** without the question mark; undefined if there is none */
  query: string | undefined;
}

/** Also matches the absolute form (RFC 9112, section 3.2.2); any host in it means this server. */
const PROXY_TARGET = /^(?:[hH][tT]{2}[pP][sS]?:\/\/[^/?#]*)?(\/proxy\/([^/?#]+))(\/[^?#]*)(?:\?([^#]*))?/;
const CONTAINER_NAME = /^[a-zA-Z0-9][\w.-]*$/;

/** Whether a request target is for a container rather than for this server's own API. */
export function isProxyTarget(url: string): boolean {
  return (url.startsWith("/proxy/") || !url.startsWith("/")) && PROXY_TARGET.test(url);
}

/**
 * Splits a request target. Path and query stay undecoded: they are for the container.
 * @returns undefined if the target names no container
 */
export function parseProxyTarget(url: string): ProxyTarget | undefined {
  const [, prefix, rawId, path, query] = PROXY_TARGET.exec(url) ?? [];
  if (prefix === undefined || rawId === undefined || path === undefined) return undefined;
  const id = rawId.includes("%") ? decodeOrEmpty(rawId) : rawId;
  return CONTAINER_NAME.test(id) ? { id, prefix, path, query } : undefined;
}

function decodeOrEmpty(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

/** The first value of a query parameter, undecoded; a percent-encoded name isn't recognized. */
export function queryValue(query: string | undefined, name: string): string | undefined {
  return query
    ?.split("&")
    .find((pair) => pair.startsWith(`${name}=`))
    ?.slice(name.length + 1);
}

/** Removes the first parameter of this name and leaves the rest of the query as it was; undefined if nothing remains. */
export function withoutQueryPair(query: string | undefined, name: string): string | undefined {
  const pairs = query?.split("&") ?? [];
  const index = pairs.findIndex((pair) => pair.startsWith(`${name}=`));
  if (index < 0) return query;
  pairs.splice(index, 1);
  return pairs.length > 0 ? pairs.join("&") : undefined;
}

export function joinPathAndQuery(path: string, query: string | undefined): string {
  return query === undefined ? path : `${path}?${query}`;
}
