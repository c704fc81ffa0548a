import type http from "node:http";
import type { ErrorRequestHandler, Express, Request, RequestHandler, Response } from "express";
import { AppError } from "../errors";
import { RouteUpgrades } from "../http/route-upgrades";
import { isProxied, readTarget } from "./proxy-path";
import type { ReverseProxy } from "./reverse-proxy";

/** What requests to containers have in common with all others. */
export interface Steps {
  /** whose requests and answers know what Express adds to them */
  app: Express;
  observe: RequestHandler;
  /** Says to pages of other origins what they may do. */
  crossOrigin: RequestHandler;
  authenticate: RequestHandler;
  answerError: ErrorRequestHandler;
  /** whether what is served here shares its origin with the API */
  sandbox: boolean;
}

/**
 * Stands in front of Express and takes what is for containers: it passes the same doors and logs, and nothing that it doesn't
 * need.
 */
export class ProxyListener {
  /** Any but those to HTTP/2, which are none (RFC 9113, section 3.1). */
  readonly upgrades = new RouteUpgrades(
    ({ url = "", headers }) => isProxied(url) && !/\bh2c\b/i.test(headers.upgrade ?? ""),
    (request, response) => this.take(request, response),
  );

  constructor(
    private readonly gateway: ReverseProxy,
    private readonly steps: Steps,
  ) {}

  /** @param otherwise answers what is not for containers */
  listener(otherwise: http.RequestListener): http.RequestListener {
    return (request, response) => {
      if (isProxied(request.url ?? "")) this.take(request, response);
      else otherwise(request, response);
    };
  }

  /** Whether it is the container's to say that a client may send the body of this request. */
  expects(request: http.IncomingMessage): boolean {
    return isProxied(request.url ?? "");
  }

  /** Answers what is not for containers, where nothing but them is served. */
  readonly elsewhere: http.RequestListener = (plainRequest, plainResponse) =>
    this.meet(plainRequest, plainResponse, async ({ method, url }, response) => {
      const [path, ...query] = url.split("?");
      const asked = method === "GET" || method === "HEAD" ? readTarget(`${path}/`) : undefined;
      if (!asked) throw new AppError("ROUTE_NOT_FOUND");
      response.redirect(307, [`${asked.prefix}/`, ...query].join("?"));
    });

  private take(plainRequest: http.IncomingMessage, plainResponse: http.ServerResponse): void {
    const { authenticate, crossOrigin, sandbox } = this.steps;
    this.meet(plainRequest, plainResponse, async (request, response, fail) => {
      const relay = (error?: unknown) => (error ? fail(error) : this.gateway.answer(request, response, sandbox).catch(fail));
      const enter = async () => authenticate(request, response, relay);
      crossOrigin(request, response, () => void enter().catch(fail));
    });
  }

  private meet(
    plainRequest: http.IncomingMessage,
    plainResponse: http.ServerResponse,
    answer: (request: Request, response: Response, fail: (error: unknown) => void) => Promise<void>,
  ): void {
    const { app, observe, answerError } = this.steps;
    // As Express itself does it.
    const request: Request = Object.setPrototypeOf(plainRequest, app.request);
    const response: Response = Object.setPrototypeOf(plainResponse, app.response);
    request.originalUrl = request.url;
    request.res = response;
    response.req = request;
    response.locals = {};
    const fail = (error: unknown) => answerError(error, request, response, () => undefined);
    observe(request, response, () => void answer(request, response, fail).catch(fail));
  }
}
