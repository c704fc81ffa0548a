import { confineToPrefix, endToEndHeaders } from "../../../lib/proxy/response-headers";

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
