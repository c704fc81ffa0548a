import { type AnswerHead, hopByHop, type RawHeaders } from "./http1/message-head";

/** Speaks for the whole origin, which is this server's. */
const OF_THE_ORIGIN = new Set([
  "service-worker-allowed",
  "clear-site-data",
  "strict-transport-security",
  "public-key-pins",
  "alt-svc",
  "nel",
  "report-to",
  "origin-agent-cluster",
]);

/** Who may read an answer: said twice, a browser lets nobody. */
const SHARING = new Set(["access-control-allow-origin", "access-control-allow-credentials"]);

/** A page of a container has no origin of its own here: without one it can do nothing in the API's name. */
export const SANDBOX = "sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts";

/**
 * What of an answer is told on: the same, but for what is between the two ends.
 * @param request_id which the answer has already; another node says it again, and so may a container
 */
export function passedHeaders({ headers }: AnswerHead, request_id: string): RawHeaders {
  const isHop = hopByHop(headers);
  const passed: RawHeaders = [];
  let sized = false;
  for (let at = 0; at < headers.length; at += 2) {
    const name = (headers[at] as string).toLowerCase();
    if (isHop(name) || (name === "x-request-id" && headers[at + 1] === request_id)) continue;
    if (name === "content-length") {
      // The same length twice is one (RFC 9112, section 6.3).
      if (sized) continue;
      sized = true;
      passed.push("Content-Length", (headers[at + 1] as string).split(",")[0]?.trim() ?? "");
    } else passed.push(headers[at] as string, headers[at + 1] as string);
  }
  return passed;
}

/**
 * Takes from a container's answer what would reach beyond its own path.
 * @param prefix path under which the client sees the container
 * @param sandbox whether its pages share their origin with the API
 * @param own name of the cookie that is this server's
 * @param told whether this server itself says which origin's pages may read it
 */
export function confined(
  headers: RawHeaders,
  { prefix, sandbox, own, told }: { prefix: string; sandbox: boolean; own: string; told: boolean },
): RawHeaders {
  const kept: RawHeaders = [];
  for (let at = 0; at < headers.length; at += 2) {
    const name = (headers[at] as string).toLowerCase();
    const value = headers[at + 1] as string;
    if (OF_THE_ORIGIN.has(name) || (told && SHARING.has(name))) continue;
    if (name !== "set-cookie") kept.push(headers[at] as string, value);
    else if (!value.trim().startsWith(`${own}=`)) kept.push(headers[at] as string, cookieBelow(value, prefix));
  }
  if (sandbox) kept.push("Content-Security-Policy", SANDBOX);
  return kept;
}

/** A cookie that goes to the container's own paths and to no others. */
function cookieBelow(cookie: string, prefix: string): string {
  const [pair = "", ...attributes] = cookie.split(";").map((part) => part.trim());
  const others = attributes.filter((attribute) => !/^(?:domain|path)\s*(?:=|$)/i.test(attribute));
  const paths = attributes.flatMap((attribute) => /^path\s*=\s*(\/.*)$/i.exec(attribute)?.[1] ?? []);
  return [pair, ...others, `Path=${prefix}${paths.at(-1) ?? "/"}`].join("; ");
}
