import type { Readable } from "node:stream";
import type { ZodObject, z } from "zod";
import type { Access, RouteAccess } from "../access/access";
import type { Where } from "../cluster/routing/where";
import type { Reply } from "../support/reply";

export type Method = "get" | "head" | "post" | "put" | "patch" | "delete";
export type BurstClass = "low" | "mid" | "high" | "none";

/** The client of a request, as the rate limits and the audit log know it. */
export interface Caller {
  identity: string;
  access: Access;
  address: string;
  request_id: string;
}

/** A request as its handler reads it. */
export interface RouteCall<P = unknown, Q = unknown, B = unknown> {
  params: P;
  query: Q;
  body: B;
  readonly caller: Caller;
  /** What the client may do. The route's permission, the node and the container or volume of the path have been checked. */
  readonly access: Access;
  /** A request header by its lower-case name. */
  header(name: string): string | undefined;
  /** The unread body, for routes that declare `streamedBodyTypes` instead of `body`. */
  readonly rawBody: Readable;
  /**
   * The bytes that a Range header asks for, both ends included; undefined for all.
   * @param size of the whole file, bytes
   * @throws AppError RANGE_NOT_THERE
   */
  range(size: number): { start: number; end: number } | undefined;
  /** Sets Content-Disposition and Content-Type for a file of this name. */
  attachment(name: string): void;
  /** The Idempotency-Key: requests with the same key start one run only. */
  readonly idempotencyKey: string | undefined;
  /** Of a request that another node forwarded: aborted when that node no longer waits. */
  readonly callerSignal: AbortSignal | undefined;
  /** Must be called when the run's container has started: the scheduler then stops counting it as pending. */
  markStarted(): void;
  /** The content type among `types` that the Accept header prefers; the first without such a header; false if none fits. */
  accepts(...types: string[]): string | false;
  /** Aborted when the client disconnects. */
  readonly clientSignal: AbortSignal;
  /** Aborted when the client disconnects or the server stops: for streams without an end of their own. */
  readonly streamSignal: AbortSignal;
  /** Aborted when the client disconnects, or shortly before the server ends: for runs that end with their request. */
  readonly runSignal: AbortSignal;
  /** A deadline: aborted after `ms`, when the client disconnects, or when the server stops. */
  within(ms: number): AbortSignal;
}

export { Reply, type ReplyBody, streamReply, type UpgradeOffer, UpgradeReply } from "../support/reply";

/** A response as the OpenAPI document describes it. */
export interface ResponseDoc {
  description: string;
  /** of a JSON body */
  schema?: z.ZodType;
  /** content types beside JSON, such as text/plain */
  contentType?: string | string[];
  headers?: Record<string, string>;
}

/** One route of the API. Express, validation, the OpenAPI document and routing in the cluster are derived from it. */
export interface Route extends RouteAccess {
  method: Method;
  /** in the syntax of Express: `/:id`, `/*image` */
  path: string;
  where: Where;
  burst: BurstClass;
  summary: string;
  params?: ZodObject;
  query?: ZodObject;
  body?: ZodObject;
  /** an example body, for the OpenAPI document */
  example?: object;
  /** Content types of a body that the handler reads as a stream. */
  streamedBodyTypes?: string[];
  responses: Record<number, ResponseDoc>;
  /** Whether it supports an Idempotency-Key, for the OpenAPI document. */
  idempotent?: boolean;
  /** Whether it needs no credentials. */
  public?: boolean;
  /** The body for clients that present no credentials at all. */
  anonymousBody?: () => object;
  /** Of a GET: the client must offer an upgrade to a WebSocket; the handler returns an `UpgradeReply`. */
  upgrade?: boolean;
  /** Whether a `ticket` in the query replaces credentials; the handler redeems it. */
  acceptsTicket?: boolean;
  /** Whether HEAD runs the handler too, for its status. */
  runsOnHead?: boolean;
  handler: (call: RouteCall) => Promise<Reply | object> | Reply | object;
}

type Parsed<T> = T extends ZodObject ? z.output<T> : Record<string, never>;

/** Declares a route; the types of the handler's params, query and body come from the schemas. */
export function route<
  P extends ZodObject | undefined = undefined,
  Q extends ZodObject | undefined = undefined,
  B extends ZodObject | undefined = undefined,
>(
  declaration: Omit<Route, "params" | "query" | "body" | "handler"> & {
    params?: P;
    query?: Q;
    body?: B;
    handler: (call: RouteCall<Parsed<P>, Parsed<Q>, Parsed<B>>) => Promise<Reply | object> | Reply | object;
  },
): Route {
  return declaration as unknown as Route;
}

/** First path segments that the API uses itself; no container can have such a name. */
export const RESERVED_SEGMENTS = new Set(
  "run volume volumes health healthz version images containers proxy ws mcp docs redoc openapi.json metrics nodes console tokens whoami audit logs _ping _node".split(
    " ",
  ),
);

/** Whether the API uses this first path segment itself. */
export function isReserved(segment: string): boolean {
  return RESERVED_SEGMENTS.has(segment) || /^v1\.\d+$/.test(segment);
}
