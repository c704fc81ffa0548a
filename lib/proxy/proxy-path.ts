/** What a request for a container asks for, as it was written. */
export interface Asked {
  /** the container's name or id */
  id: string;
  /** `/proxy/{id}` as the client wrote it */
  prefix: string;
  /** from the first slash after that */
  path: string;
  /** without its question mark; undefined if there is none */
  query: string | undefined;
}

/** Also in absolute form (RFC 9112, section 3.2.2), whose host is this server whatever it says. */
const PROXIED = /^(?:[hH][tT]{2}[pP][sS]?:\/\/[^/?#]*)?(\/proxy\/([^/?#]+))(\/[^?#]*)(?:\?([^#]*))?/;
const NAME = /^[a-zA-Z0-9][\w.-]*$/;

/** Whether a request target is for a container, and not for this server's own API. */
export function isProxied(url: string): boolean {
  return (url.startsWith("/proxy/") || !url.startsWith("/")) && PROXIED.test(url);
}

/**
 * Takes a request target apart, without decoding what is the container's.
 * @returns undefined if it names no container
 */
export function readTarget(url: string): Asked | undefined {
  const [, prefix, written, path, query] = PROXIED.exec(url) ?? [];
  if (prefix === undefined || written === undefined || path === undefined) return undefined;
  const id = written.includes("%") ? decoded(written) : written;
  return NAME.test(id) ? { id, prefix, path, query } : undefined;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

/** The first value that a query gives a name, if it is written plainly. */
export function inQuery(query: string | undefined, name: string): string | undefined {
  return query
    ?.split("&")
    .find((pair) => pair.startsWith(`${name}=`))
    ?.slice(name.length + 1);
}

/** The query without the first pair of that name, all else as it was. */
export function withoutPair(query: string | undefined, name: string): string | undefined {
  const pairs = query?.split("&") ?? [];
  const at = pairs.findIndex((pair) => pair.startsWith(`${name}=`));
  if (at < 0) return query;
  pairs.splice(at, 1);
  return pairs.length > 0 ? pairs.join("&") : undefined;
}

/** Path and query as one. */
export function joined(path: string, query: string | undefined): string {
  return query === undefined ? path : `${path}?${query}`;
}
