import type { RequestHandler } from "express";

/** Headers of answers that a page may read beside the usual ones. */
const EXPOSED = ["X-Request-Id", "X-Error-Code", "X-Error-Message", "X-Cluster-Nodes", "X-Cluster-Missing", "Retry-After"];

/**
 * Lets pages of other origins read answers. They present a token themselves: what a browser keeps of a user's credentials is not
 * sent along for them.
 * @param origins such as http://localhost:3000
 */
export function crossOrigin(origins: string[]): RequestHandler {
  // What isn't used isn't loaded.
  const cors = require("cors") as (options: object) => RequestHandler;
  return cors({ origin: origins, exposedHeaders: EXPOSED, maxAge: 600 });
}

/** The same for what containers serve, who answer other origins' pages and what is no preflight themselves. */
export function crossOriginProxied(origins: string[]): RequestHandler {
  if (origins.length === 0) return (_request, _response, next) => next();
  const tell = crossOrigin(origins);
  return (request, response, next) => {
    const { origin = "", "access-control-request-method": asked } = request.headers;
    if (!origins.includes(origin) || (request.method === "OPTIONS" && asked === undefined)) return next();
    return tell(request, response, next);
  };
}
