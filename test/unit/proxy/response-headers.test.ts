import { confineToPrefix, endToEndHeaders, withoutUpstreamAddress } from "../../../lib/proxy/response-headers";

const endToEnd = (status: number, ...headers: string[]) => endToEndHeaders({ status, reason: "", headers });

describe("endToEndHeaders", () => {
  test.each([
    [103, []],
    [204, []],
    [200, ["Content-Length", "7"]],
    [304, ["Content-Length", "7"]],
  ])("of a response with the status %d, Content-Length is forwarded as %j", (status, forwarded) => {
    expect(endToEnd(status, "Content-Length", "7")).toEqual(forwarded);
  });

  test("the request id of this server is the only one", () => {
    expect(endToEnd(200, "X-Request-Id", "forged", "x-request-id", "again", "X-A", "1")).toEqual(["X-A", "1"]);
  });
});

describe("a Location", () => {
  const confinement = { prefix: "/proxy/web", sandbox: false, sessionCookie: "c", hasOwnCors: false };
  const confined = (location: string) => confineToPrefix(withoutUpstreamAddress(["LOCATION", location], "127.0.0.1:8080"), confinement)[1];

  test.each([
    ["/", "/proxy/web/"],
    ["/login?next=/", "/proxy/web/login?next=/"],
    ["/proxy/website", "/proxy/web/proxy/website"],
    ["/proxy/web/a", "/proxy/web/a"],
    ["/proxy/web", "/proxy/web"],
    ["http://127.0.0.1:8080/a?b#c", "/proxy/web/a?b#c"],
    ["https://127.0.0.1:8080", "/proxy/web/"],
    ["HTTP://127.0.0.1:8080?b", "/proxy/web/?b"],
    ["//127.0.0.1:8080/a", "/proxy/web/a"],
    ["http://127.0.0.1:8080/proxy/web/a", "/proxy/web/a"],
    ["/\\elsewhere.example", "/proxy/web/\\elsewhere.example"],
  ])("%s leads below the prefix: %s", (location, expected) => expect(confined(location)).toBe(expected));

  test.each([
    "a",
    "../a",
    "?a",
    "",
    "http://elsewhere.example/a",
    "//elsewhere.example/",
    "http://127.0.0.1:80801/a",
    "http://127.0.0.1/a",
    "http://127.0.0.1:8080@elsewhere.example/",
    "http://127.0.0.1:8080//elsewhere.example/",
    "mailto:a@b",
  ])("%s stays as it is", (location) => expect(confined(location)).toBe(location));

  test("is only the header of this name", () => {
    const headers = ["X-Location", "/a", "location-x", "http://127.0.0.1:8080/", "X", "location"];
    expect(confineToPrefix(withoutUpstreamAddress(headers, "127.0.0.1:8080"), confinement)).toEqual(headers);
  });
});

describe("confineToPrefix", () => {
  const confinement = { prefix: "/proxy/web", sandbox: false, sessionCookie: "docker-server-proxy", hasOwnCors: false };

  test.each([
    "docker-server-proxy=x",
    " docker-server-proxy =x",
    "docker-server-proxy\t=x; Path=/",
    "=docker-server-proxy=x",
    "= docker-server-proxy =x",
  ])("a container can't set the session cookie by %j", (cookie) =>
    expect(confineToPrefix(["Set-Cookie", cookie, "Set-Cookie", "a=docker-server-proxy=x"], confinement)).toEqual([
      "Set-Cookie",
      "a=docker-server-proxy=x; Path=/proxy/web/",
    ]),
  );
});
