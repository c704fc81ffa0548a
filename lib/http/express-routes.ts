import { type Express, type Request, type RequestHandler, type Response, Router } from "express";
import { z } from "zod";
import type { Dispatch } from "../cluster/dispatch";
import { AppError } from "../errors";
import { answer } from "./answer";
import { bodyReaders } from "./body";
import { readInput } from "./input";
import { type Burst, type Call, isReserved, type Reply, type Route } from "./route";
import type { Waits } from "./waits";

export interface RouteTools {
  authenticate: (route: Pick<Route, "public" | "anonymous">) => RequestHandler;
  limits: Record<Burst, RequestHandler>;
  dispatch: Dispatch;
  waits: Waits;
  /** bytes */
  bodyLimit: number;
}

const NO_FIELDS = z.object({});
/** Every route takes it: the node to run on. */
const PIN = { node: z.string().min(1).optional() };

/** Makes Express serve the routes, and answer 405 and 404 for what they don't. */
export function registerRoutes(app: Express, routes: Route[], tools: RouteTools): void {
  const router = Router({ caseSensitive: true });
  const body = bodyReaders(tools.bodyLimit);
  // What begins with a parameter would catch the words of the API: it comes last, and passes them on.
  // Express gives HEAD to GET routes, too: HEAD's own come first.
  const rank = (route: Route) => (route.method === "head" ? -1 : openness(route.path));
  const ordered = [...routes].sort((a, b) => rank(a) - rank(b));
  for (const route of ordered) {
    const steps = [tools.authenticate(route), tools.limits[route.burst], ...(route.body ? body : []), handle(route, tools)];
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

function handle(route: Route, tools: RouteTools): RequestHandler {
  const query = (route.query ?? NO_FIELDS).extend(PIN).strict();
  return async (request, response) => {
    response.locals.route = route.path;
    const call = new ExpressCall(request, response, tools.waits);
    call.params = route.params ? readInput(route.params, joined(request.params)) : {};
    const { node, ...rest } = readInput(query, request.query) as { node?: string };
    call.query = rest;
    if (route.body) call.body = readInput(route.body.strict(), request.body);
    // HEAD of a GET route tells that it is there, and does no work.
    if (request.method === "HEAD" && route.method === "get" && !route.headWorks) return void response.type("json").end();
    const result = await tools.dispatch(route.where, node, async () => route.handler(call));
    await answer(response, result as Reply | object, () => call.gone);
  };
}

function joined(params: Record<string, string | string[]>): Record<string, string> {
  return Object.fromEntries(Object.entries(params).map(([name, value]) => [name, Array.isArray(value) ? value.join("/") : value]));
}

class ExpressCall implements Call {
  params: unknown;
  query: unknown;
  body: unknown = {};
  private leaving: AbortController | undefined;

  constructor(
    private readonly request: Request,
    private readonly response: Response,
    private readonly waits: Waits,
  ) {}

  accepts(...types: string[]): string | false {
    return this.request.accepts(...types);
  }

  get gone(): AbortSignal {
    if (this.leaving) return this.leaving.signal;
    const leaving = new AbortController();
    this.leaving = leaving;
    if (this.response.destroyed) leaving.abort();
    else this.response.once("close", () => leaving.abort());
    return leaving.signal;
  }

  within(ms: number): AbortSignal {
    return this.waits.within(ms, this.gone);
  }
}
