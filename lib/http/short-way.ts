import type { IncomingMessage, RequestListener } from "node:http";
import type { ErrorRequestHandler, Express, Request, RequestHandler, Response } from "express";
import { asExpress } from "./as-express";

/**
 * Answers GET requests for fixed paths in front of Express, whose router costs more than the rest of them, with the steps that Express
 * would call. Every other request goes to Express: one with a query, with a body, of another method, or whose target is spelled differently.
 * @param stepsByPath the steps of a GET request by its target, in order
 * @param errorHandler answers what a step throws or rejects with
 */
export function shortWay(
  app: Express,
  stepsByPath: ReadonlyMap<string, readonly RequestHandler[]>,
  errorHandler: ErrorRequestHandler,
): RequestListener {
  return (plainRequest, plainResponse) => {
    const steps = isBodilessGet(plainRequest) ? stepsByPath.get(plainRequest.url ?? "") : undefined;
    if (!steps) return void app(plainRequest, plainResponse);
    const [request, response] = asExpress(app, plainRequest, plainResponse);
    runSteps(steps, request, response, (error) => void errorHandler(error, request, response, () => undefined));
  };
}

function isBodilessGet({ method, headers }: IncomingMessage): boolean {
  return method === "GET" && headers["content-length"] === undefined && headers["transfer-encoding"] === undefined;
}

/** Runs the steps as Express does: each calls the next one, and what is thrown or rejected ends them. */
function runSteps(steps: readonly RequestHandler[], request: Request, response: Response, fail: (error: unknown) => void): void {
  const runFrom = (index: number): void => {
    const next = (error?: unknown) => (error ? fail(error) : runFrom(index + 1));
    try {
      const running = steps[index]?.(request, response, next);
      if (running instanceof Promise) running.catch(fail);
    } catch (error) {
      fail(error);
    }
  };
  runFrom(0);
}
