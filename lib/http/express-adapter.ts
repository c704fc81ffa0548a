import { type Express, type RequestHandler, Router } from "express";
import type { Dispatch } from "../cluster/routing/routed-request";
import { AppError, type ErrorCode, loggedError } from "../errors";
import { nearestDockerRoute, nearestRoute } from "../support/nearest";
import { loggedMessage, outcomeFields } from "./audit-fields";
import { bodyParsers } from "./body";
import { type ConfinedLookup, HttpRequest, type HttpRequestDeps } from "./http-request";
import { querySchema } from "./query";
import type { RequestDeadlines } from "./request-deadlines";
import { type BurstClass, isReserved, type Route } from "./route";
import { sendReply } from "./send-reply";

export interface ExpressAdapterDeps {
  authenticate: (route: Pick<Route, "public" | "anonymousBody" | "acceptsTicket">) => RequestHandler;
  limits: Record<BurstClass, RequestHandler>;
  dispatch: Dispatch;
  deadlines: RequestDeadlines;
  bodyLimitBytes: number;
  /** this node's */
  nodeName: string;
  confined: ConfinedLookup;
}

/** A path that no parameter matches, and that no route with a parameter below a fixed segment matches either. */
const FIXED_PATH = /^\/[^/:*]*$/;

/** Errors of `/:id` that also meet those who have mistyped another path of one segment. */
const HINTED_CODES = new Set<ErrorCode>(["CONTAINER_NOT_FOUND", "REFUSED_BY_TOKEN"]);

/**
 * Registers the routes with Express, and 405 and 404 for all other methods and paths.
 * @returns the steps of the GET routes with a fixed path, by that path: what Express calls for a request to it
 */
export function registerRoutes(app: Express, routes: Route[], deps: ExpressAdapterDeps): Map<string, RequestHandler[]> {
  const router = Router({ caseSensitive: true });
  const { deadlines, nodeName, confined } = deps;
  const requestDeps = { deadlines, nodeName, confined, bodyParsers: bodyParsers(deps.bodyLimitBytes) };
  // Paths that begin with a parameter would match reserved first segments: they come last and skip those segments.
  // HEAD routes come first because Express also gives HEAD requests to GET routes.
  const rank = (route: Route) => (route.method === "head" ? -1 : breadth(route.path));
  const ordered = [...routes].sort((a, b) => rank(a) - rank(b));
  const fixedRoutes = routes.filter(({ path }) => !/[:*]/.test(path) && path !== "/");
  const hintedRoutes = new Map<string, RouteFinder>([
    ["/:id", (request) => nearestRoute(request, fixedRoutes)],
    ["/containers/:id", nearestDockerRoute],
  ]);
  const stepsByPath = new Map<string, RequestHandler[]>();
  for (const route of ordered) {
    const handler = routeHandler(route, deps.dispatch, requestDeps);
    const find = hintedRoutes.get(route.path);
    const steps = [
      routeNamer(route.path),
      deps.authenticate(route),
      deps.limits[route.burst],
      find ? withRouteHint(handler, find) : handler,
    ];
    router[route.method](route.path, ...(breadth(route.path) > 0 ? [skipReserved] : []), ...steps);
    if (route.method === "get" && FIXED_PATH.test(route.path) && !stepsByPath.has(route.path)) stepsByPath.set(route.path, steps);
  }
  for (const path of new Set(ordered.map((route) => route.path))) {
    const broad = breadth(path) > 0;
    // Routes below /* match these paths too, so Allow lists their methods.
    const allowed = methodsOf(ordered.filter((route) => route.path === path || (broad && route.path.startsWith("/*"))));
    // Whatever has several segments is the name of an image, which only HEAD takes: for other methods it is no route.
    if (breadth(path) > 1) continue;
    router.all(path, ...(broad ? [skipReserved] : []), routeNamer(path), deps.authenticate({}), (request, response) => {
      response.set("Allow", allowed);
      // Behind a container, an action that exists is meant: another is not.
      const isAction = /:.*\/\w+$/.test(path);
      const sameMethod = routes.filter(({ method }) => method.toUpperCase() === request.method);
      // `/web` is what `/containers/web` has more methods for.
      const asked = path === "/:id" ? { method: request.method, path: `/containers${request.path}` } : request;
      const nearest = isAction ? undefined : nearestRoute(asked, sameMethod);
      const hint = nearest === undefined ? "" : `; did you mean ${nearest}?`;
      const message = `${request.path} has no ${request.method}; it has ${allowed}${hint}`;
      throw new AppError("METHOD_NOT_ALLOWED", { message, details: { allow: allowed } });
    });
  }
  router.use(deps.authenticate({}), ({ method, path }) => {
    const nearest = nearestRoute({ method, path }, routes);
    const isOfCluster = /^\/nodes(?:\/|$)/.test(path) && !routes.some((route) => route.path === "/nodes");
    const where = isOfCluster ? "only with --cluster" : path.startsWith("/tokens/") ? REVOKING : "/openapi.json lists all";
    const hint = nearest === undefined ? where : `did you mean ${nearest}?`;
    throw new AppError("ROUTE_NOT_FOUND", {
      message: `No such route: ${method} ${path}; ${hint}`,
      details: nearest === undefined ? {} : { did_you_mean: nearest },
    });
  });
  app.use(router);
  return stepsByPath;
}

const REVOKING = "tokens are not stored: the file of --revoked ends one by its id";

/** How much a path matches, by its first segment: a fixed segment 0, any single segment 1, any number of segments 2. */
function breadth(path: string): number {
  return path.startsWith("/*") ? 2 : path.startsWith("/:") ? 1 : 0;
}

const skipReserved: RequestHandler = (request, _response, next) => {
  const first = request.path.split("/")[1] ?? "";
  next(first === "" || isReserved(first) ? "route" : undefined);
};

type RouteFinder = (request: { method: string; path: string }) => string | undefined;

/** `/container` is the container of that name: who has none, or may not ask for one, is told of `/containers`. */
function withRouteHint(handler: RequestHandler, find: RouteFinder): RequestHandler {
  return async (request, response, next) => {
    try {
      await handler(request, response, next);
    } catch (error) {
      if (!(error instanceof AppError && HINTED_CODES.has(error.code))) throw error;
      const nearest = find(request);
      if (nearest === undefined) throw error;
      throw new AppError(error.code, {
        message: `${error.message}; did you mean ${nearest}?`,
        details: { ...error.details, did_you_mean: nearest },
      });
    }
  };
}

/** Tells the metrics the route of a request, also if it is refused before its handler. */
function routeNamer(path: string): RequestHandler {
  return (_request, response, next) => {
    response.locals.route = path;
    next();
  };
}

function methodsOf(routes: Route[]): string {
  const methods = routes.map((route) => route.method.toUpperCase());
  return [...new Set(methods.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method])))].join(", ");
}

function routeHandler(route: Route, dispatch: Dispatch, deps: HttpRequestDeps): RequestHandler {
  const schema = querySchema(route);
  return async (request, response) => {
    const routed = new HttpRequest(route, schema, request, response, deps);
    // HEAD on a GET route answers 200 without calling the handler.
    if (request.method === "HEAD" && route.method === "get" && !route.runsOnHead) return void response.type("json").end();
    if (route.upgrade && !request.upgradeOffer) {
      response.set({ Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13" });
      throw new AppError("UPGRADE_REQUIRED");
    }
    const reply = await dispatch(routed);
    response.locals.outcome = outcomeFields(route, routed.body, reply, response.locals.trace);
    const code = reply.headers["x-error-code"] ?? "";
    if (reply.status >= 400 && code !== "")
      response.locals.error ??= { ...loggedError(reply.status, code), ...loggedMessage(reply.headers["x-error-message"] ?? "", false) };
    await sendReply(response, reply, () => routed.clientSignal);
  };
}
