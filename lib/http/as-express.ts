import type http from "node:http";
import type { Express, Request, Response } from "express";

/**
 * Gives a request that does not pass the router, and its response, the methods of Express.
 * @param app whose request and response prototypes are used
 */
export function asExpress(app: Express, plainRequest: http.IncomingMessage, plainResponse: http.ServerResponse): [Request, Response] {
  // The same setup as in Express's own app.handle.
  const request: Request = Object.setPrototypeOf(plainRequest, app.request);
  const response: Response = Object.setPrototypeOf(plainResponse, app.response);
  request.originalUrl = request.url;
  request.res = response;
  response.req = request;
  response.locals = {} as Response["locals"];
  return [request, response];
}
