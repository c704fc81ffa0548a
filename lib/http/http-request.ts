import type { Request, RequestHandler, Response } from "express";
import { z } from "zod";
import { Access, refusedBy } from "../access/access";
import { idempotencyKeyOf, type RoutedRequest } from "../cluster/routing/routed-request";
import { AppError, type ErrorCode, invalidField } from "../errors";
import { Reply } from "../support/reply";
import { readInput } from "./input";
import { refuseParametersInBody } from "./misplaced-input";
import { readQuery } from "./query";
import type { RequestDeadlines } from "./request-deadlines";
import type { Caller, Method, Route, RouteCall } from "./route";

export interface HttpRequestDeps {
  deadlines: RequestDeadlines;
  /** Middleware that reads a body into `request.body`. */
  bodyParsers: RequestHandler[];
  /** this node's */
  nodeName: string;
  confined: ConfinedLookup;
}

/** Finds only what has the labels of a token. */
export interface ConfinedLookup {
  /**
   * @returns the full id of the container
   * @throws AppError CONTAINER_NOT_FOUND, AMBIGUOUS_ID
   */
  containerId(id: string, labels: Readonly<Record<string, string>>, options: { prefix: boolean }): Promise<string>;
  /** @throws AppError VOLUME_NOT_FOUND */
  assertVolume(name: string, labels: Readonly<Record<string, string>>): Promise<void>;
}

const NO_FIELDS = z.object({});
const BODILESS_METHODS: ReadonlySet<Method> = new Set<Method>(["get", "head"]);

/** A request that Express received: the dispatcher routes this value, and the handler of the route reads it. */
export class HttpRequest implements RoutedRequest, RouteCall {
  readonly params: Record<string, unknown>;
  readonly query: object;
  readonly pinnedNode: string | undefined;
  readonly explain: boolean;
  body: unknown = {};
  private started = false;
  private onStarted: (() => void) | undefined;
  private disconnected: AbortController | undefined;
  private parsedBody: Promise<object> | undefined;

  /**
   * @param schema of the query, as `querySchema` makes it
   * @throws AppError INVALID_INPUT for params or a query that don't fit the route's schemas
   */
  constructor(
    private readonly route: Route,
    schema: z.ZodObject,
    private readonly request: Request,
    private readonly response: Response,
    private readonly deps: HttpRequestDeps,
  ) {
    this.params = route.params ? readInput(route.params, joinSegments(request.params)) : {};
    const { node, explain, ...query } = readQuery(schema, request, route.body) as { node?: string; explain?: boolean };
    this.query = query;
    this.pinnedNode = node;
    this.explain = explain ?? false;
    this.access.assertRoute(route);
    if (this.explain && !this.access.can("nodes")) throw refusedBy("can", "explain needs nodes", { permission: "nodes" });
    if (this.explain && this.access.labels) throw refusedBy("labels", "explain concerns more than what has these labels");
  }

  // A request without a decision about its client can do nothing.
  get access(): Access {
    const { access } = this.response.locals;
    if (access) return access;
    if (this.route.public) return Access.full;
    throw new Error("the request is not authenticated");
  }

  get where() {
    return this.route.where;
  }

  get method(): string {
    return this.request.method;
  }

  get url(): string {
    return this.request.originalUrl;
  }

  get headers() {
    return this.request.headers;
  }

  get identity(): string {
    return this.response.locals.identity ?? "";
  }

  get peer() {
    return this.response.locals.peer;
  }

  get id(): string | undefined {
    return (this.params.id ?? this.params.name) as string | undefined;
  }

  // Of a route without a body, the entry node reads it to refuse its fields. An earlier node forwards such a body unsigned.
  get readsBody(): boolean {
    const { body, streamedBodyTypes, method } = this.route;
    return body !== undefined || (streamedBodyTypes === undefined && this.peer === undefined && !BODILESS_METHODS.has(method));
  }

  get upgrade(): boolean {
    return this.route.upgrade ?? false;
  }

  get rawBody(): Request {
    return this.request;
  }

  get caller(): Caller {
    const { address, request_id } = this.response.locals;
    return { identity: this.identity, access: this.access, address, request_id };
  }

  get idempotencyKey(): string | undefined {
    return idempotencyKeyOf(this);
  }

  // A fan-out reads the body for each node at the same time.
  readBody(): Promise<object> {
    this.parsedBody ??= this.parseBody();
    return this.parsedBody;
  }

  private async parseBody(): Promise<object> {
    await runMiddleware(this.deps.bodyParsers, this.request, this.response);
    const parsed = this.request.body as unknown;
    if (parsed === null || typeof parsed !== "object" || Array.isArray(parsed)) {
      const { example } = this.route;
      throw invalidField("body", `must be an object${example ? `, such as ${JSON.stringify(example)}` : ""}`);
    }
    const body = this.route.body ?? NO_FIELDS;
    refuseParametersInBody(parsed, this.route.query, body);
    this.body = readInput(body.strict(), parsed);
    return parsed;
  }

  // Handlers pass it on as a function.
  markStarted = (): void => {
    this.started = true;
    this.onStarted?.();
  };

  async runHere(body?: object, onStarted?: () => void): Promise<Reply> {
    this.onStarted = onStarted;
    if (body) this.body = readInput(this.route.body ?? NO_FIELDS, body);
    else if (this.readsBody) await this.readBody();
    await this.decide();
    const { trace } = this.response.locals;
    if (trace) trace.node = this.deps.nodeName;
    try {
      const result = await this.callHandler();
      return result instanceof Reply ? result : new Reply(200, result);
    } catch (error) {
      // It keeps the entry node from a second attempt on another node.
      const told = this.started && error instanceof AppError && error.status >= 500 ? error.with({ begun: true }) : error;
      throw this.access.labels ? withoutOthers(told) : told;
    }
  }

  /**
   * Decides, on the node that carries the request out, on the request as the handler gets it. A container that a token's labels confine
   * is handed on by its full id: what was checked is what the handler finds.
   */
  private async decide(): Promise<void> {
    const { access, route, params } = this;
    if (access.isFull) return;
    access.assertRoute(route);
    // Whatever node the client is connected to tells it of itself, and versions.
    if (route.where.at !== "here" || route.permission === "nodes") access.assertNode(this.deps.nodeName);
    const { labels } = access;
    if (!labels) return;
    const { where, confined } = route;
    if (confined === "container") {
      const prefix = where.at === "owners" ? where.prefix : true;
      params.id = await this.deps.confined.containerId(String(params.id), labels, { prefix });
    }
    if (confined === "volume") await this.deps.confined.assertVolume(String(params.name), labels);
  }

  private async callHandler(): Promise<object> {
    try {
      return await this.route.handler(this);
    } catch (error) {
      // The handler found the container in memory, and the engine says that it is gone: another may have its name by now.
      const bodyIsUsed = !this.readsBody && this.request.readableDidRead;
      if (this.id === undefined || bodyIsUsed || !isOutdated(error)) throw error;
      return this.route.handler(this);
    }
  }

  get clientSignal(): AbortSignal {
    if (this.disconnected) return this.disconnected.signal;
    const disconnected = new AbortController();
    this.disconnected = disconnected;
    const { response } = this;
    const { socket } = this.request;
    const disconnect = () => disconnected.abort();
    if (response.destroyed || socket.destroyed) disconnect();
    else {
      // A pipelined response emits no "close" while it waits behind another: its socket does.
      socket.once("close", disconnect);
      response.once("close", disconnect).once("close", () => socket.off("close", disconnect));
    }
    return disconnected.signal;
  }

  get streamSignal(): AbortSignal {
    return this.deps.deadlines.untilStop(this.clientSignal);
  }

  get runSignal(): AbortSignal {
    return this.deps.deadlines.untilRunsStop(this.clientSignal);
  }

  get callerSignal(): AbortSignal | undefined {
    return this.peer && this.within(this.peer.left);
  }

  within(ms: number): AbortSignal {
    return this.deps.deadlines.within(ms, this.clientSignal);
  }

  header(name: string): string | undefined {
    return this.request.get(name);
  }

  accepts(...types: string[]): string | false {
    return this.request.accepts(...types);
  }

  range(size: number): { start: number; end: number } | undefined {
    const ranges = this.request.range(size);
    if (ranges === -1) throw new AppError("RANGE_NOT_THERE", { details: { size } });
    // A server may ignore several ranges, or a header that it can't parse (RFC 9110, section 14.2).
    return Array.isArray(ranges) && ranges.type === "bytes" && ranges.length === 1 ? ranges[0] : undefined;
  }

  attachment(name: string): void {
    this.response.attachment(name);
  }
}

/** Whether the engine itself has answered that a container doesn't exist, rather than a lookup by its name. */
function isOutdated(error: unknown): boolean {
  return error instanceof AppError && error.code === "CONTAINER_NOT_FOUND" && error.cause !== undefined;
}

/** Errors whose text and details can name a container of another client. */
const CONFLICTS: ReadonlySet<ErrorCode> = new Set(["NAME_TAKEN", "PORT_TAKEN", "VOLUME_IN_USE", "IMAGE_IN_USE"]);
/** Of their details, those that the client itself has sent. */
const OWN_DETAILS = ["field", "name", "port"];

/** The error as a client may read it that sees only its own containers. */
function withoutOthers(error: unknown): unknown {
  if (!(error instanceof AppError) || !CONFLICTS.has(error.code)) return error;
  const details = Object.fromEntries(Object.entries(error.details).filter(([name]) => OWN_DETAILS.includes(name)));
  const hidden = new AppError(error.code, { details, cause: error });
  return hidden.kind === error.kind
    ? hidden
    : new AppError("INVALID_INPUT", { code: error.code, message: hidden.message, details, cause: error });
}

/** Express gives a wildcard parameter as a list of segments. */
function joinSegments(params: Record<string, string | string[]>): Record<string, string> {
  return Object.fromEntries(Object.entries(params).map(([name, value]) => [name, Array.isArray(value) ? value.join("/") : value]));
}

/** Runs middleware in order and without a pause between them: a body that flows already would be lost in a pause. */
function runMiddleware(handlers: RequestHandler[], request: Request, response: Response): Promise<void> {
  return new Promise((resolve, reject) => {
    const runFrom = (index: number): void => {
      const handler = handlers[index];
      if (!handler) return void resolve();
      try {
        void handler(request, response, (error?: unknown) => (error ? reject(error) : runFrom(index + 1)));
      } catch (error) {
        reject(error);
      }
    };
    runFrom(0);
  });
}
