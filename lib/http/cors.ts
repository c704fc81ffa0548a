import type { RequestHandler } from "express";
import { lazyRequire } from "../support/lazy-require";

const loadCors = lazyRequire(() => require("cors") as (options: object) => RequestHandler);

/** Response headers that a page may read besides the standard ones. */
const EXPOSED_HEADERS = [
  "X-Request-Id",
  "X-Error-Code",
  "X-Error-Message",
  "X-Cluster-Nodes",
  "X-Cluster-Missing",
  "X-Run-Sandbox",
  "Retry-After",
];

/**
 * Makes the CORS middleware that lets pages of other origins read responses. They must present a token themselves: credentials
 * that a browser stores are not allowed.
 * @param origins such as `http://localhost:3000`
 */
export function corsMiddleware(origins: string[]): RequestHandler {
  return loadCors()({ origin: origins, exposedHeaders: EXPOSED_HEADERS, maxAge: 600 });
}

/**
 * Makes the CORS middleware of proxied requests. A container itself answers pages of other origins, and OPTIONS requests that are
 * no preflight.
 */
export function proxyCorsMiddleware(origins: string[]): RequestHandler {
  if (origins.length === 0) return (_request, _response, next) => next();
  const cors = corsMiddleware(origins);
  return (request, response, next) => {
    const { origin = "", "access-control-request-method": requestedMethod } = request.headers;
    if (!origins.includes(origin) || (request.method === "OPTIONS" && requestedMethod === undefined)) return next();
    return cors(request, response, next);
  };
}
