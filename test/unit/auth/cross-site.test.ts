import express, { type Request } from "express";
import { refuseCrossSite } from "../../../lib/auth/cross-site";
import type { AppError } from "../../../lib/errors";

/** Whether a POST with these headers is let in; `secure`: over TLS. */
function isLetIn(headers: Record<string, string>, options: { secure?: boolean; allowed?: string[] } = {}): boolean {
  const app = express();
  const socket = { encrypted: options.secure ?? false, remoteAddress: "10.0.0.1" };
  const request: Request = Object.assign(Object.create(app.request), { app, method: "POST", headers, socket });
  try {
    refuseCrossSite(request, options.allowed ?? []);
    return true;
  } catch (error) {
    expect((error as AppError).code).toBe("CROSS_SITE");
    return false;
  }
}

describe("refuseCrossSite", () => {
  test.each([
    ["localhost:80", "http://localhost", false, true],
    ["localhost", "http://localhost:80", false, true],
    ["localhost:443", "https://localhost", true, true],
    ["[::1]:1717", "http://[::1]:1717", false, true],
    ["LOCALHOST:1717", "http://localhost:1717", false, true],
    ["localhost:443", "http://localhost", true, false],
    ["localhost", "http://localhost", true, false],
    ["localhost:1717", "https://localhost:1717", false, false],
    ["localhost:1717", "http://localhost:1718", false, false],
    ["localhost", "null", false, false],
    ["localhost", "not an origin", false, false],
  ])("a request to %s from a page of %s, over TLS: %s, is let in: %s", (host, origin, secure, letIn) => {
    expect(isLetIn({ host, origin }, { secure })).toBe(letIn);
  });

  test("behind a load balancer that ends TLS, the scheme is the one that it reports", () => {
    const headers = { host: "pool.example", "x-forwarded-proto": "https" };
    expect(isLetIn({ ...headers, origin: "https://pool.example" })).toBe(true);
    expect(isLetIn({ ...headers, origin: "https://evil.example" })).toBe(false);
  });

  test("what a browser says of the two origins counts more than the Host header", () => {
    const headers = { host: "inner:1717", origin: "https://pool.example" };
    expect(isLetIn({ ...headers, "sec-fetch-site": "same-origin" })).toBe(true);
    expect(isLetIn({ ...headers, host: "pool.example:443", "sec-fetch-site": "cross-site" }, { secure: true })).toBe(false);
    expect(isLetIn({ ...headers, "sec-fetch-site": "cross-site" }, { allowed: ["https://pool.example"] })).toBe(true);
  });
});
