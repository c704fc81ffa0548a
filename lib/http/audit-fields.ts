import type { RequestTrace } from "../support/measure";
import type { Reply } from "../support/reply";
import type { Route } from "./route";

/** A larger answer is not read for the audit log. */
const MAX_READ_BYTES = 65_536;
/** One line of the log is enough to say what was wrong. */
const MAX_TEXT_LENGTH = 300;

/** What a request asked for and what it made, for the audit log: names and ids, never other parts of a body. */
export interface OutcomeFields {
  image?: string;
  name?: string;
  id?: string;
  /** the node; `node` is the one that has logged it */
  ran_on?: string;
}

/**
 * @param body the request's, as validated
 * @param trace of the request
 */
export function outcomeFields(
  { where, permission }: Pick<Route, "where" | "permission">,
  body: unknown,
  reply: Reply,
  trace: Pick<RequestTrace, "node"> | undefined,
): OutcomeFields {
  const asked = textFields(body, ["image", "name"]);
  // Of a request to all nodes no single one is told.
  if (where.at === "here" || where.at === "everyNode" || where.at === "everyOutcome") return asked;
  // The answer of a run is what its program wrote.
  const made = permission === "run" ? {} : textFields(readObject(reply), ["name", "id"]);
  return { ...asked, ...made, ...(trace?.node === undefined ? {} : { ran_on: trace.node }) };
}

function readObject({ body, headers }: Reply): unknown {
  if (body === null || typeof body === "string" || (typeof body === "object" && Symbol.asyncIterator in body)) return {};
  if (!Buffer.isBuffer(body)) return body;
  const isJson = (headers["Content-Type"] ?? headers["content-type"] ?? "").startsWith("application/json");
  try {
    return isJson && body.length <= MAX_READ_BYTES ? JSON.parse(body.toString()) : {};
  } catch {
    return {};
  }
}

function textFields(value: unknown, names: (keyof OutcomeFields)[]): OutcomeFields {
  const fields = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  return Object.fromEntries(
    names.flatMap((name) => (typeof fields[name] === "string" ? [[name, (fields[name] as string).slice(0, MAX_TEXT_LENGTH)]] : [])),
  );
}

/** The message of an error as it is logged. A parser's message quotes the body, which may hold secrets: it has none. */
export function loggedMessage(message: string, isOfParser: boolean): { message?: string } {
  return isOfParser ? {} : { message: message.slice(0, MAX_TEXT_LENGTH) };
}
