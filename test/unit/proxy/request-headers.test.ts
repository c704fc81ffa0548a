import express, { type Request } from "express";
import { clientRequestHeaders } from "../../../lib/proxy/request-headers";

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
