import express, { type Express, type Request, type RequestHandler, type Response } from "express";
import helmet from "helmet";
import { type MessageClasses, makeMessageClasses } from "./as-express";
import { corsMiddleware } from "./cors";

export interface ExpressAppSettings {
  trust_proxy: string | null;
  https: boolean;
  cors_origin: string[];
}

/** Express, and the steps of every request before its route. */
export interface ExpressApp {
  app: Express;
  /** for the servers whose requests it gets */
  messageClasses: MessageClasses;
  /** The steps of a GET request for a path, in order: logging, security headers, CORS. */
  stepsBefore(path: string): RequestHandler[];
}

/** Express with the middleware of every request: logging, security headers, CORS. The routes are registered later. */
export function createExpressApp(settings: ExpressAppSettings, requestLogger: RequestHandler): ExpressApp {
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.set("query parser", "simple");
  if (settings.trust_proxy !== null)
    app.set("trust proxy", /^\d+$/.test(settings.trust_proxy) ? Number(settings.trust_proxy) : settings.trust_proxy);
  const { cors_origin, https } = settings;
  const steps = [requestLogger, securityHeaders(https), ...(cors_origin.length > 0 ? [corsMiddleware(cors_origin)] : [])];
  for (const step of steps) app.use(step);
  app.get("/", leadBrowserToConsole);
  return { app, messageClasses: makeMessageClasses(app), stepsBefore: (path) => (path === "/" ? [...steps, leadBrowserToConsole] : steps) };
}

/** Sets the headers of helmet, which are the same for every response: it makes them once. */
function securityHeaders(https: boolean): RequestHandler {
  const headers: [name: string, value: string][] = [];
  const recorder = { setHeader: (name: string, value: string) => headers.push([name, value]), removeHeader: () => undefined };
  const setOnce = helmet({
    contentSecurityPolicy: { directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] }, useDefaults: false },
    // Other hosts of the domain may have no HTTPS.
    strictTransportSecurity: https && { includeSubDomains: false },
  });
  setOnce({} as Request, recorder as unknown as Response, (error?: unknown) => {
    if (error) throw error;
  });
  return (_request, response, next) => {
    for (const [name, value] of headers) response.setHeader(name, value);
    next();
  };
}

/** A browser that opens `/` prefers HTML, and no other client of `GET /` does. */
const leadBrowserToConsole: RequestHandler = (request, response, next) => {
  if (request.method !== "GET" || request.accepts("json", "html") !== "html") return next();
  response.vary("Accept").redirect(303, "/console");
};
