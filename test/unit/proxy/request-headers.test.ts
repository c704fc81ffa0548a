import express, { type Request } from "express";
import { clientRequestHeaders, withUpstreamOrigin } from "../../../lib/proxy/request-headers";

/** The headers that a container receives of a client's. */
function received(rawHeaders: string[], trustProxy: unknown = false, remoteAddress = "10.0.0.1"): string[] {
  const app = express().set("trust proxy", trustProxy);
  const request: Request = Object.assign(Object.create(app.request), {
    rawHeaders,
    headers: { host: "pool.example" },
    httpVersion: "1.1",
    method: "GET",
    socket: { remoteAddress },
  });
  return clientRequestHeaders(request, "/proxy/web", { authorization: false, cookie: "c" }, "an-id");
}

/** The X-Forwarded-For that a container receives. */
function forwardedFor(trustProxy: unknown, remoteAddress: string): string {
  const headers = received(["X-Forwarded-For", "203.0.113.7"], trustProxy, remoteAddress);
  return headers[headers.indexOf("X-Forwarded-For") + 1] as string;
}

describe("withUpstreamOrigin", () => {
  const origin = (value: string, forwardedHost = "Pool.example:1718") =>
    withUpstreamOrigin(["ORIGIN", value, "X-Forwarded-Host", forwardedHost], "127.0.0.1:8080")[1];

  test("the Origin of this server's own pages becomes the container's", () => {
    expect(origin("http://pool.example:1718")).toBe("http://127.0.0.1:8080");
    expect(origin("https://pool.example", "pool.example")).toBe("https://127.0.0.1:8080");
  });

  test.each(["http://evil.example", "http://pool.example", "http://pool.example:17181", "null", "", "http://"])(
    "the Origin %j of another page stays as it is",
    (value) => expect(origin(value)).toBe(value),
  );

  test("without an Origin there is none", () => {
    expect(withUpstreamOrigin(["X-Origin", "http://a", "X-Forwarded-Host", "a"], "b")).toEqual([
      "X-Origin",
      "http://a",
      "X-Forwarded-Host",
      "a",
    ]);
    expect(withUpstreamOrigin(["Origin", "http://"], "b")).toEqual(["Origin", "http://"]);
  });
});

describe("clientRequestHeaders", () => {
  test.each(["X_Forwarded_For", "X-Forwarded_Proto", "X_REAL_IP", "X_Request_Id", "X_Access_Token", "Content_Length", "Transfer_Encoding"])(
    "%s is withheld like the header with hyphens, which CGI servers can't tell from it",
    (name) => expect(received([name, "forged", "X_Own", "kept"])).toEqual(["X_Own", "kept", ...received([])]),
  );

  test.each(["X-Forwarded-Scheme", "X-Forwarded-Ssl", "X-Client-IP"])(
    "%s, which says what this server says in other headers, is withheld",
    (name) => {
      expect(received([name, "forged"])).toEqual(received([]));
    },
  );

  test.each(["c=1", "c =1", " c\t=1", "=c=1"])("the session cookie is withheld, also written as %j", (pair) => {
    expect(received(["Cookie", `a=1;${pair}; b=c=2`])).toEqual(["Cookie", "a=1; b=c=2", ...received([])]);
    expect(received(["Cookie", pair])).toEqual(received([]));
  });

  test("X-Forwarded-For is passed on from a trusted load balancer and from nobody else", () => {
    expect(forwardedFor(1, "10.0.0.1")).toBe("203.0.113.7, 10.0.0.1");
    expect(forwardedFor("10.0.0.1", "10.0.0.1")).toBe("203.0.113.7, 10.0.0.1");
    expect(forwardedFor("10.0.0.1", "10.0.0.2")).toBe("10.0.0.2");
    expect(forwardedFor(false, "10.0.0.1")).toBe("10.0.0.1");
  });
});
