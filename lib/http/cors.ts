import type { RequestHandler } from "express";
import { lazyRequire } from "../support/lazy-require";

const loadCors = lazyRequire(() => require("cors") as (options: object) => RequestHandler);

/** Headers of answers that a page may read beside the usual ones. */
const EXPOSED_HEADERS = ["X-Request-Id", "X-Error-Code", "X-Error-Message", "X-Cluster-Nodes", "X-Cluster-Missing", "Retry-After"];

/**
 * Lets pages of other origins read answers. They present a token themselves: what a browser keeps of a user's credentials is not
 * sent along for them.
 * @param origins such as http://localhost:3000
 */
export function corsMiddleware(origins: string[]): RequestHandler {
  return loadCors()({ origin: origins, exposedHeaders: EXPOSED_HEADERS, maxAge: 600 });
}

/** The same for what containers serve, who answer other origins' pages and what is no preflight themselves. */
export function proxyCorsMiddleware(origins: string[]): RequestHandler {
  if (origins.length === 0) return (_request, _response, next) => next();
  const tell = corsMiddleware(origins);
  return (request, response, next) => {
    const { origin = "", "access-control-request-method": asked } = request.headers;
    if (!origins.includes(origin) || (request.method === "OPTIONS" && asked === undefined)) return next();
    return tell(request, response, next);
  };
}
