import express, { type Express, type RequestHandler } from "express";
import helmet from "helmet";
import { corsMiddleware } from "./cors";

export interface ExpressAppSettings {
  trust_proxy: string | null;
  https: boolean;
  cors_origin: string[];
}

/** Express with the middleware of every request: logging, security headers, CORS. The routes are registered later. */
export function createExpressApp(settings: ExpressAppSettings, requestLogger: RequestHandler): Express {
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.set("query parser", "simple");
  if (settings.trust_proxy !== null)
    app.set("trust proxy", /^\d+$/.test(settings.trust_proxy) ? Number(settings.trust_proxy) : settings.trust_proxy);
  app.use(requestLogger);
  app.use(
    helmet({
      contentSecurityPolicy: { directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] }, useDefaults: false },
      // Other hosts of the domain may have no HTTPS.
      strictTransportSecurity: settings.https && { includeSubDomains: false },
    }),
  );
  if (settings.cors_origin.length > 0) app.use(corsMiddleware(settings.cors_origin));
  app.get("/", leadBrowserToConsole);
  return app;
}

/** A browser that opens `/` prefers HTML, and no other client of `GET /` does. */
const leadBrowserToConsole: RequestHandler = (request, response, next) => {
  if (request.method !== "GET" || request.accepts("json", "html") !== "html") return next();
  response.vary("Accept").redirect(303, "/console");
};
