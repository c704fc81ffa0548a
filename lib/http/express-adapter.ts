import { type Express, type Request, type RequestHandler, type Response, Router } from "express";
import { z } from "zod";
import type { Dispatch, RoutedRequest } from "../cluster/routing/routed-request";
import type { PeerRequest } from "../cluster/rpc/signatures";
import { AppError, loggedError } from "../errors";
import { bodyReaders } from "./body";
import { flag } from "./fields";
import { readInput } from "./input";
import type { RequestDeadlines } from "./request-deadlines";
import { type Burst, type Caller, isReserved, Reply, type Route, type RouteCall } from "./route";
import { upgradable } from "./route-upgrades";
import { sendReply } from "./send-reply";

export interface RouteTools {
  authenticate: (route: Pick<Route, "public" | "anonymous" | "ticketed">) => RequestHandler;
  limits: Record<Burst, RequestHandler>;
  dispatch: Dispatch;
  waits: RequestDeadlines;
  /** bytes */
  bodyLimit: number;
}

const NO_FIELDS = z.object({});
/** Every route takes them: the node to run on, and whether placement is to be explained. */
const COMMON = { node: z.string().min(1).optional(), explain: flag.optional() };

/** Makes Express serve the routes, and answer 405 and 404 for what they don't. */
export function registerRoutes(app: Express, routes: Route[], tools: RouteTools): void {
  const router = Router({ caseSensitive: true });
  const body = bodyReaders(tools.bodyLimit);
  // What begins with a parameter would catch the words of the API: it comes last, and passes them on.
  // Express gives HEAD to GET routes, too: HEAD's own come first.
  const rank = (route: Route) => (route.method === "head" ? -1 : openness(route.path));
  const ordered = [...routes].sort((a, b) => rank(a) - rank(b));
  for (const route of ordered) {
    const steps = [tools.authenticate(route), tools.limits[route.burst], handle(route, tools, body)];
    router[route.method](route.path, ...(openness(route.path) > 0 ? [passReserved] : []), ...steps);
  }
  for (const path of new Set(ordered.map((route) => route.path))) {
    const open = openness(path) > 0;
    const allowed = methodsOf(ordered.filter((route) => route.path === path || (open && route.path.startsWith("/*"))));
    router.all(path, ...(open ? [passReserved] : []), tools.authenticate({}), (_request, response) => {
      response.set("Allow", allowed);
      throw new AppError("METHOD_NOT_ALLOWED", { details: { allow: allowed } });
    });
  }
  router.use(tools.authenticate({}), (request) => {
    throw new AppError("ROUTE_NOT_FOUND", { message: `No such route: ${request.method} ${request.path}` });
  });
  app.use(router);
}

/** How much a path catches: a word of the API 0, any one segment 1, anything 2. */
function openness(path: string): number {
  return path.startsWith("/*") ? 2 : path.startsWith("/:") ? 1 : 0;
}

const passReserved: RequestHandler = (request, _response, next) => {
  const first = request.path.split("/")[1] ?? "";
  next(first === "" || isReserved(first) ? "route" : undefined);
};

function methodsOf(routes: Route[]): string {
  const methods = routes.map((route) => route.method.toUpperCase());
  return [...new Set(methods.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method])))].join(", ");
}

function handle(route: Route, tools: RouteTools, readers: RequestHandler[]): RequestHandler {
  const query = (route.query ?? NO_FIELDS).extend(COMMON).strict();
  return async (request, response) => {
    response.locals.route = route.path;
    const call = new ExpressCall(request, response, tools.waits);
    call.params = route.params ? readInput(route.params, joined(request.params)) : {};
    const { node, explain, ...rest } = readInput(query, request.query) as { node?: string; explain?: boolean };
    call.query = rest;
    const { id, name } = call.params as { id?: string; name?: string };
    // HEAD of a GET route tells that it is there, and does no work.
    if (request.method === "HEAD" && route.method === "get" && !route.headWorks) return void response.type("json").end();
    if (route.upgrade && !upgradable(request)) {
      response.set({ Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13" });
      throw new AppError("UPGRADE_REQUIRED");
    }
    const body = async () => {
      if (request.body === undefined) await runAll(readers, request, response);
      const given = request.body as object;
      call.body = readInput((route.body ?? NO_FIELDS).strict(), given);
      return given;
    };
    const exchange: RoutedRequest = {
      where: route.where,
      method: request.method,
      url: request.originalUrl,
      headers: request.headers,
      caller: response.locals.identity ?? "",
      from: response.locals.peer as PeerRequest | undefined,
      node,
      id: id ?? name,
      query: rest,
      explain: explain ?? false,
      get clientSignal() {
        return call.clientSignal;
      },
      get streamSignal() {
        return call.streamSignal;
      },
      body,
      readsBody: route.body !== undefined,
      upgrade: route.upgrade ?? false,
      raw: request,
      async local(other, started) {
        if (started) call.started = started;
        if (other) call.body = readInput(route.body ?? NO_FIELDS, other);
        else if (route.body) await body();
        const result = await route.handler(call);
        return result instanceof Reply ? result : new Reply(200, result);
      },
    };
    const reply = await tools.dispatch(exchange);
    const code = reply.headers["x-error-code"] ?? "";
    if (reply.status >= 400 && code !== "") response.locals.error ??= loggedError(reply.status, code);
    await sendReply(response, reply, () => call.clientSignal);
  };
}

/** Runs middlewares one after the other, outside of Express's own chain: without a pause, in which a body that flows already would be lost. */
function runAll(handlers: RequestHandler[], request: Request, response: Response): Promise<void> {
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

function joined(params: Record<string, string | string[]>): Record<string, string> {
  return Object.fromEntries(Object.entries(params).map(([name, value]) => [name, Array.isArray(value) ? value.join("/") : value]));
}

class ExpressCall implements RouteCall {
  params: unknown;
  query: unknown;
  body: unknown = {};
  started = (): void => undefined;
  private leaving: AbortController | undefined;

  constructor(
    private readonly request: Request,
    private readonly response: Response,
    private readonly waits: RequestDeadlines,
  ) {}

  accepts(...types: string[]): string | false {
    return this.request.accepts(...types);
  }

  get clientSignal(): AbortSignal {
    if (this.leaving) return this.leaving.signal;
    const leaving = new AbortController();
    this.leaving = leaving;
    const { response } = this;
    const { socket } = this.request;
    const leave = () => leaving.abort();
    if (response.destroyed || socket.destroyed) leave();
    else {
      // One that waits behind another on its connection is told nothing of its end.
      socket.once("close", leave);
      response.once("close", leave).once("close", () => socket.off("close", leave));
    }
    return leaving.signal;
  }

  get caller(): Caller {
    const { identity = "", request_id } = this.response.locals;
    return { identity, address: this.request.ip ?? "", request_id };
  }

  header(name: string): string | undefined {
    return this.request.get(name);
  }

  get raw(): Request {
    return this.request;
  }

  range(size: number): { start: number; end: number } | undefined {
    const ranges = this.request.range(size);
    if (ranges === -1) throw new AppError("RANGE_NOT_THERE", { details: { size } });
    // Several parts need not be answered as such, nor what can't be read.
    return Array.isArray(ranges) && ranges.type === "bytes" && ranges.length === 1 ? ranges[0] : undefined;
  }

  attachment(name: string): void {
    this.response.attachment(name);
  }

  get idempotencyKey(): string | undefined {
    return this.request.get("idempotency-key") || undefined;
  }

  get callerSignal(): AbortSignal | undefined {
    const from = this.response.locals.peer as PeerRequest | undefined;
    return from && this.waits.within(from.left, this.clientSignal);
  }

  get streamSignal(): AbortSignal {
    return this.waits.untilStop(this.clientSignal);
  }

  within(ms: number): AbortSignal {
    return this.waits.within(ms, this.clientSignal);
  }
}
