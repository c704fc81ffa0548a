import http from "node:http";
import type { Express, Request, Response } from "express";

/** The classes of the requests and responses of an HTTP server. */
export type MessageClasses = Required<Pick<http.ServerOptions, "IncomingMessage" | "ServerResponse">>;

/**
 * Makes the classes for servers whose requests an app gets: they have the methods of Express from the start. Express would change the
 * prototype of each request and response, which costs more than all that node:http does for one.
 * @param app whose request and response prototypes become those of the classes
 */
export function makeMessageClasses(app: Express): MessageClasses {
  class ExpressRequest extends http.IncomingMessage {}
  class ExpressResponse<R extends http.IncomingMessage = http.IncomingMessage> extends http.ServerResponse<R> {}
  Object.setPrototypeOf(ExpressRequest.prototype, app.request);
  Object.setPrototypeOf(ExpressResponse.prototype, app.response);
  app.request = ExpressRequest.prototype as Request;
  app.response = ExpressResponse.prototype as Response;
  return { IncomingMessage: ExpressRequest, ServerResponse: ExpressResponse };
}

/**
 * Gives a request that does not pass the router, and its response, the methods of Express.
 * @param app whose request and response prototypes are used
 */
export function asExpress(app: Express, plainRequest: http.IncomingMessage, plainResponse: http.ServerResponse): [Request, Response] {
  // The same setup as in Express's own app.handle. Messages of `makeMessageClasses` have these prototypes already.
  const request: Request = Object.setPrototypeOf(plainRequest, app.request);
  const response: Response = Object.setPrototypeOf(plainResponse, app.response);
  request.originalUrl = request.url;
  request.res = response;
  response.req = request;
  response.locals = {} as Response["locals"];
  return [request, response];
}
