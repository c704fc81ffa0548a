import express, { type Request } from "express";
import { clientRequestHeaders } from "../../../lib/proxy/request-headers";

/** The X-Forwarded-For that a container receives. */
function forwardedFor(trustProxy: unknown, remoteAddress: string): string {
  const app = express().set("trust proxy", trustProxy);
  const request: Request = Object.assign(Object.create(app.request), {
    rawHeaders: ["X-Forwarded-For", "203.0.113.7"],
    headers: { host: "pool.example" },
    httpVersion: "1.1",
    method: "GET",
    socket: { remoteAddress },
  });
  const headers = clientRequestHeaders(request, "/proxy/web", { authorization: false, cookie: "c" }, "an-id");
  return headers[headers.indexOf("X-Forwarded-For") + 1] as string;
}

describe("clientRequestHeaders", () => {
  test("X-Forwarded-For is passed on from a trusted load balancer and from nobody else", () => {
    expect(forwardedFor(1, "10.0.0.1")).toBe("203.0.113.7, 10.0.0.1");
    expect(forwardedFor("10.0.0.1", "10.0.0.1")).toBe("203.0.113.7, 10.0.0.1");
    expect(forwardedFor("10.0.0.1", "10.0.0.2")).toBe("10.0.0.2");
    expect(forwardedFor(false, "10.0.0.1")).toBe("10.0.0.1");
  });
});
