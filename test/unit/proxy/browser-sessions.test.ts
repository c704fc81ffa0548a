import type { Request, Response } from "express";
import { Access } from "../../../lib/access/access";
import { Credentials } from "../../../lib/auth/credentials";
import { Signatures } from "../../../lib/cluster/rpc/signatures";
import { BrowserSessions } from "../../../lib/proxy/browser-sessions";
import { quietLog } from "../../support/unit/quiet-log";

const HOUR = 3_600_000;
const NOW = Date.now();
const settings = { token: ["one", "two"], token_file: null, user: "ann", password: "first" };

/** The session middleware of one node; all nodes of a cluster share the secret. `containerId` is of the container that has the name. */
function sessionAuthOf(changed: Partial<typeof settings> = {}, secret = "shared", containerId = "first") {
  const credentials = Credentials.load({ ...settings, ...changed }, quietLog().log, secret);
  const findContainerId = async () => containerId;
  return new BrowserSessions(new Signatures([secret]), credentials, findContainerId, () => Access.full).sessionAuth(
    (_request, response, next) => {
      response.locals.authenticated = true;
      next();
    },
    (access, _request, response) => {
      response.locals.access = access;
    },
  );
}

/** Sends a request; returns the cookie that it gets, and its identity: undefined if it was passed to `authenticate`. */
async function visit(
  headers: Record<string, string>,
  options: { auth?: ReturnType<typeof sessionAuthOf>; url?: string; at?: number } = {},
) {
  const { auth = sessionAuthOf(), url = "/proxy/web/page", at = NOW } = options;
  jest.spyOn(Date, "now").mockReturnValue(at);
  let setCookie: string | undefined;
  const response = {
    locals: {} as Record<string, unknown>,
    append: (_name: string, value: string) => (setCookie = value),
    once: () => undefined,
  };
  const request = { method: "GET", url, headers } as unknown as Request;
  await new Promise<unknown>((resolve) => void auth(request, response as unknown as Response, resolve));
  return { setCookie, identity: response.locals.authenticated ? undefined : response.locals.identity };
}

const basic = { authorization: `Basic ${Buffer.from("ann:first").toString("base64")}` };
const signIn = async () => ((await visit(basic)).setCookie as string).split(";")[0] as string;
const identityOf = async (cookie: string, options: Parameters<typeof visit>[1] = {}) => (await visit({ cookie }, options)).identity;

afterEach(() => jest.restoreAllMocks());

describe("BrowserSessions", () => {
  test("signing in sets a cookie for the container's path, and a request with a valid cookie gets no other", async () => {
    const { setCookie } = await visit(basic);
    expect(setCookie).toMatch(/^docker-server-proxy=[\w.-]+; Path=\/proxy\/web\/; Max-Age=7200; HttpOnly; SameSite=Lax$/);
    expect(await visit({ ...basic, cookie: await signIn() })).toEqual({ setCookie: undefined, identity: "ann" });
    expect(await visit({ cookie: "docker-server-proxy=1.YW5u.x" })).toEqual({ setCookie: undefined, identity: undefined });
  });

  test("a cookie is valid on every node, with clocks up to an hour apart, until it expires", async () => {
    const cookie = await signIn();
    for (const hours of [-1, 0, 1, 1.9]) expect(await identityOf(cookie, { at: NOW + hours * HOUR })).toBe("ann");
    expect(await identityOf(cookie, { at: NOW + 2 * HOUR })).toBeUndefined();
    expect(await identityOf(cookie, { auth: sessionAuthOf({}, "another cluster") })).toBeUndefined();
  });

  test("a cookie is valid only for the path as it was written at sign-in", async () => {
    const cookie = await signIn();
    expect(await identityOf(cookie, { url: "/proxy/web/" })).toBe("ann");
    for (const url of ["/proxy/web2/", "/proxy/we/", "/proxy/%77eb/", "/proxy/b/proxy/web/"])
      expect(await identityOf(cookie, { url })).toBeUndefined();
  });

  test("a cookie is invalid for another container that has the same name later", async () => {
    const cookie = await signIn();
    expect(await identityOf(cookie, { auth: sessionAuthOf({}, "shared", "first") })).toBe("ann");
    expect(await identityOf(cookie, { auth: sessionAuthOf({}, "shared", "second") })).toBeUndefined();
  });

  test("over HTTPS, here or at a load balancer in front, the cookie is sent over HTTPS only", async () => {
    expect((await visit({ ...basic, "x-forwarded-proto": "https" })).setCookie).toMatch(/; Secure$/);
    expect((await visit(basic)).setCookie).not.toMatch(/Secure/);
  });

  test("a cookie is invalid once the credentials behind it are invalid", async () => {
    const cookie = await signIn();
    expect(await identityOf(cookie, { auth: sessionAuthOf({ token: ["three"] }) })).toBe("ann");
    expect(await identityOf(cookie, { auth: sessionAuthOf({ password: "second" }) })).toBeUndefined();
    expect(await identityOf(cookie, { auth: sessionAuthOf({ user: "bob" }) })).toBeUndefined();
  });

  test("a cookie with any changed part is refused, and other cookies don't matter", async () => {
    const cookie = await signIn();
    expect(await identityOf(`a=1; docker-server-proxy=x; ${cookie};b`)).toBe("ann");
    const [expiresAt = "", caller = "", containerId = "", signature = ""] = cookie.slice(cookie.indexOf("=") + 1).split(".");
    const other = Buffer.from("token-1").toString("base64url");
    const forged = [
      `${expiresAt}0.${caller}.${containerId}.${signature}`,
      `${expiresAt}.${other}.${containerId}.${signature}`,
      `${expiresAt}.${caller}.second.${signature}`,
      `${expiresAt}.${caller}.${containerId}.${signature.slice(1)}`,
      `${expiresAt}.${caller}.${signature}`,
      `${expiresAt}.${caller}`,
    ];
    for (const value of [...forged, "", ".", "..", "%"]) expect(await identityOf(`docker-server-proxy=${value}`)).toBeUndefined();
  });
});
