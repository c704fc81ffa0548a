import { invalidField } from "../../errors";

interface QueryOptions {
  /** parameters that may come several times */
  repeated?: readonly string[];
  /** parameters of which the first value counts, as for engines, and no other is sent on: docker-py sends some twice */
  firstCounts?: readonly string[];
  /** parameters that are left out: dockerode sends the fields of some bodies in the query too */
  ignored?: readonly string[];
}

/**
 * Reads a query strictly; what is sent on is the serialisation of the result.
 * @param search of the URL, with or without its question mark
 * @param allowed names of parameters, in the only spelling that is accepted
 * @throws AppError INVALID_INPUT for a parameter that comes twice, isn't known or can't be decoded
 */
export function parseQuery(
  search: string,
  allowed: readonly string[],
  { repeated = [], firstCounts = [], ignored = [] }: QueryOptions = {},
): URLSearchParams {
  const parsed = new URLSearchParams();
  for (const part of search.replace(/^\?/, "").split("&")) {
    if (part === "") continue;
    const [name, value] = splitParameter(part);
    if (ignored.includes(name)) continue;
    if (!allowed.includes(name) && !repeated.includes(name)) throw invalidField(name || "query", "is not a parameter that is known here");
    if (parsed.has(name) && firstCounts.includes(name)) continue;
    if (parsed.has(name) && !repeated.includes(name)) throw invalidField(name, "must not come twice");
    parsed.append(name, value);
  }
  return parsed;
}

function splitParameter(part: string): [name: string, value: string] {
  const end = part.includes("=") ? part.indexOf("=") : part.length;
  const name = decode(part.slice(0, end), "query");
  return [name, decode(part.slice(end + 1), name)];
}

function decode(text: string, field: string): string {
  let decoded: string;
  try {
    decoded = decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    throw invalidField(field || "query", "can't be decoded");
  }
  if (decoded.includes("\0") || decoded.includes("\ufffd")) throw invalidField(field || "query", "must not hold a NUL character");
  return decoded;
}
