import http from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import helmet from "helmet";
import { createExpressApp } from "../../../lib/http/express-app";

async function headersOf(listener: http.RequestListener, classes: http.ServerOptions = {}): Promise<Record<string, string>> {
  const server = http.createServer(classes, listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { headers } = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/x`, { headers: { Connection: "close" } });
  await new Promise((resolve) => server.close(resolve));
  const own = new Set(["date", "connection", "content-length", "content-type"]);
  return Object.fromEntries([...headers].filter(([name]) => !own.has(name)));
}

test.each([false, true])("each response has helmet's headers, as they were set for each request (HTTPS: %s)", async (https) => {
  const expected = express().use(
    helmet({
      contentSecurityPolicy: { directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] }, useDefaults: false },
      strictTransportSecurity: https && { includeSubDomains: false },
    }),
    (_request, response) => void response.end(),
  );
  const { app } = createExpressApp({ trust_proxy: null, https, cors_origin: [] }, (_request, _response, next) => next());
  app.use((_request, response) => void response.end());
  const headers = await headersOf(app);
  expect(Object.keys(headers).length).toBeGreaterThan(9);
  expect(headers).toEqual(await headersOf(expected));
  expect(headers["content-security-policy"]).toBe("default-src 'none';frame-ancestors 'none'");
});

test("messages of its classes have the methods of Express before Express gets them, and get the same answer", async () => {
  const { app, messageClasses } = createExpressApp({ trust_proxy: null, https: false, cors_origin: [] }, (_request, _response, next) =>
    next(),
  );
  app.use(
    (request, response) => void response.set("X-Got", `${request.path} ${request.get("Connection")} ${request.res === response}`).end(),
  );
  const prototypes: boolean[] = [];
  const listener: http.RequestListener = (request, response) => {
    prototypes.push(Object.getPrototypeOf(request) === app.request && Object.getPrototypeOf(response) === app.response);
    app(request, response);
  };
  const headers = await headersOf(listener, messageClasses);
  expect(headers["x-got"]).toBe("/x close true");
  expect(headers).toEqual(await headersOf(listener));
  expect(prototypes).toEqual([true, false]);
});
