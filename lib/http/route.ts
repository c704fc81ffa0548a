import type { Readable } from "node:stream";
import type { ZodObject, z } from "zod";
import type { Where } from "../cluster/routing/where";
import type { Reply } from "../support/reply";

export type Method = "get" | "head" | "post" | "put" | "patch" | "delete";
export type Burst = "low" | "mid" | "high" | "none";

/** Who is behind a request, as the limits and the audit log know it. */
export interface Caller {
  identity: string;
  address: string;
  request_id: string;
}

/** One request as a handler sees it. */
export interface RouteCall<P = unknown, Q = unknown, B = unknown> {
  params: P;
  query: Q;
  body: B;
  /** Who asks. */
  readonly caller: Caller;
  /** One of the request's headers, by its name in lower case. */
  header(name: string): string | undefined;
  /** The body as it comes, of a route that declares none. */
  readonly raw: Readable;
  /** The part that a Range header asks for of so many bytes, both ends included; undefined: all. @throws AppError RANGE_NOT_THERE */
  range(size: number): { start: number; end: number } | undefined;
  /** The answer is a file of this name: says so in Content-Disposition and Content-Type. */
  attachment(name: string): void;
  /** The Idempotency-Key: the same key is the same run. */
  readonly idempotencyKey: string | undefined;
  /** Present if another node placed this here: aborted when it no longer waits. */
  readonly callerSignal: AbortSignal | undefined;
  /** To be called when the run's container has started: from then on it counts by itself. */
  started(): void;
  /** Of the content types that a route can answer, the one that the client likes best; the first if it doesn't say. */
  accepts(...types: string[]): string | false;
  /** Aborted when the client has gone. */
  readonly clientSignal: AbortSignal;
  /** Aborted when the client has gone or the server stops: for streams that have no end of their own. */
  readonly streamSignal: AbortSignal;
  /** Aborted after so many ms, when the client has gone or when the server stops: whoever waits for an answer waits no longer. */
  within(ms: number): AbortSignal;
}

export { type Body, Reply, streamed, type Upgradable, Upgraded } from "../support/reply";

/** What an answer looks like, for the OpenAPI document. */
export interface AnswerDoc {
  description: string;
  /** of an answer in JSON */
  schema?: z.ZodType;
  /** that it can be instead of JSON, such as text/plain */
  contentType?: string | string[];
  headers?: Record<string, string>;
}

/** One row of the API: everything else about a route is derived from it. */
export interface Route {
  method: Method;
  /** as Express writes it: `/:id`, `/*image` */
  path: string;
  where: Where;
  burst: Burst;
  summary: string;
  params?: ZodObject;
  query?: ZodObject;
  body?: ZodObject;
  /** of a body, for the OpenAPI document */
  example?: object;
  /** Content types of a body that the handler reads as it comes, for the OpenAPI document. */
  streams?: string[];
  answers: Record<number, AnswerDoc>;
  /** An Idempotency-Key makes it once, for the OpenAPI document. */
  keyed?: boolean;
  /** No credentials are asked for. */
  public?: boolean;
  /** Answered to those who present no credentials at all. */
  anonymous?: () => object;
  /** Of a GET: only those who offer an upgrade to a WebSocket are answered, with an `Upgraded`. */
  upgrade?: boolean;
  /** A `ticket` in the query lets in whoever has no credentials; the handler uses it up. */
  ticketed?: boolean;
  /** HEAD does the work of GET too, for its status. */
  headWorks?: boolean;
  /** Name of the MCP tool that calls it. */
  tool?: string;
  handler: (call: RouteCall) => Promise<Reply | object> | Reply | object;
}

type Of<T> = T extends ZodObject ? z.output<T> : Record<string, never>;

/** Declares a route, with the handler's types taken from its schemas. */
export function route<
  P extends ZodObject | undefined = undefined,
  Q extends ZodObject | undefined = undefined,
  B extends ZodObject | undefined = undefined,
>(
  declaration: Omit<Route, "params" | "query" | "body" | "handler"> & {
    params?: P;
    query?: Q;
    body?: B;
    handler: (call: RouteCall<Of<P>, Of<Q>, Of<B>>) => Promise<Reply | object> | Reply | object;
  },
): Route {
  return declaration as unknown as Route;
}

/** First path segments that are no container's name. */
export const RESERVED = new Set(
  "run volume volumes health healthz version images containers proxy ws mcp docs redoc openapi.json metrics nodes console _ping _node".split(
    " ",
  ),
);

/** Tells whether a first path segment is taken by the API itself. */
export function isReserved(segment: string): boolean {
  return RESERVED.has(segment) || /^v1\.\d+$/.test(segment);
}
