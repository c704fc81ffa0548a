import type http from "node:http";
import type { ErrorRequestHandler, Express, Request, RequestHandler, Response } from "express";
import { AppError } from "../errors";
import { asExpress } from "../http/as-express";
import { RouteUpgrades } from "../http/route-upgrades";
import { isProxyTarget, parseProxyTarget } from "./proxy-path";
import type { ReverseProxy } from "./reverse-proxy";

/** What proxied requests share with all others. */
export interface ProxyListenerDeps {
  /** the app whose request and response prototypes are used */
  app: Express;
  requestLogger: RequestHandler;
  cors: RequestHandler;
  authenticate: RequestHandler;
  errorHandler: ErrorRequestHandler;
  /** whether the containers' pages share their origin with the API */
  sandbox: boolean;
}

/**
 * Handles requests to containers in front of Express: with the same logging, authentication and errors, but without the cost of
 * the router and of the other middleware.
 */
export class ProxyListener {
  /** Takes every upgrade but h2c, which RFC 9113, section 3.1, has removed. */
  readonly upgrades = new RouteUpgrades(
    ({ url = "", headers }) => isProxyTarget(url) && !/\bh2c\b/i.test(headers.upgrade ?? ""),
    (request, response) => this.handleProxied(request, response),
  );

  constructor(
    private readonly proxy: ReverseProxy,
    private readonly deps: ProxyListenerDeps,
  ) {}

  /** @param fallback handles requests that are not for containers */
  listenerWithFallback(fallback: http.RequestListener): http.RequestListener {
    return (request, response) => {
      if (isProxyTarget(request.url ?? "")) this.handleProxied(request, response);
      else fallback(request, response);
    };
  }

  /** Whether the container, not this server, answers a request's `Expect: 100-continue`. */
  handlesExpectContinue(request: http.IncomingMessage): boolean {
    return isProxyTarget(request.url ?? "");
  }

  /** The fallback where only containers are served: redirects `/proxy/{id}` to `/proxy/{id}/`, and answers 404 to the rest. */
  readonly notFoundListener: http.RequestListener = (plainRequest, plainResponse) =>
    this.runAsExpress(plainRequest, plainResponse, async ({ method, url }, response) => {
      const [path, ...query] = url.split("?");
      const target = method === "GET" || method === "HEAD" ? parseProxyTarget(`${path}/`) : undefined;
      if (!target) throw new AppError("ROUTE_NOT_FOUND", { message: "No such route: this port serves containers alone, at /proxy/ID/" });
      response.redirect(307, [`${target.prefix}/`, ...query].join("?"));
    });

  private handleProxied(plainRequest: http.IncomingMessage, plainResponse: http.ServerResponse): void {
    const { authenticate, cors, sandbox } = this.deps;
    this.runAsExpress(plainRequest, plainResponse, async (request, response, fail) => {
      response.locals.route = "/proxy/:id/*path";
      const relay = (error?: unknown) => (error ? fail(error) : this.proxy.handle(request, response, sandbox).catch(fail));
      const authenticateAndRelay = async () => authenticate(request, response, relay);
      cors(request, response, () => void authenticateAndRelay().catch(fail));
    });
  }

  private runAsExpress(
    plainRequest: http.IncomingMessage,
    plainResponse: http.ServerResponse,
    handler: (request: Request, response: Response, fail: (error: unknown) => void) => Promise<void>,
  ): void {
    const { app, requestLogger, errorHandler } = this.deps;
    const [request, response] = asExpress(app, plainRequest, plainResponse);
    const fail = (error: unknown) => errorHandler(error, request, response, () => undefined);
    requestLogger(request, response, () => void handler(request, response, fail).catch(fail));
  }
}
