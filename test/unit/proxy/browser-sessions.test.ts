import type { Request, Response } from "express";
import { Credentials } from "../../../lib/auth/credentials";
import { Signatures } from "../../../lib/cluster/rpc/signatures";
import { BrowserSessions } from "../../../lib/proxy/browser-sessions";
import { quietLog } from "../../support/unit/quiet-log";

const HOUR = 3_600_000;
const NOW = Date.now();
const settings = { token: ["one", "two"], token_file: null, user: "ann", password: "first" };

/** The session middleware of one node; all nodes of a cluster share the secret. */
function sessionAuthOf(changed: Partial<typeof settings> = {}, secret = "shared") {
  const credentials = Credentials.load({ ...settings, ...changed }, quietLog().log, secret);
  return new BrowserSessions(new Signatures([secret]), credentials).sessionAuth((_request, response, next) => {
    response.locals.authenticated = true;
    next();
  });
}

/** Sends a request; returns the cookie that it gets, and its identity: undefined if it was passed to `authenticate`. */
async function visit(
  headers: Record<string, string>,
  options: { auth?: ReturnType<typeof sessionAuthOf>; url?: string; at?: number } = {},
) {
  const { auth = sessionAuthOf(), url = "/proxy/web/page", at = NOW } = options;
  jest.spyOn(Date, "now").mockReturnValue(at);
  let setCookie: string | undefined;
  const response = { locals: {} as Record<string, unknown>, append: (_name: string, value: string) => (setCookie = value) };
  await auth({ method: "GET", url, headers } as unknown as Request, response as unknown as Response, () => undefined);
  return { setCookie, identity: response.locals.authenticated ? undefined : response.locals.identity };
}

const basic = { authorization: `Basic ${Buffer.from("ann:first").toString("base64")}` };
const signIn = async () => ((await visit(basic)).setCookie as string).split(";")[0] as string;
const identityOf = async (cookie: string, options: Parameters<typeof visit>[1] = {}) => (await visit({ cookie }, options)).identity;

afterEach(() => jest.restoreAllMocks());

describe("BrowserSessions", () => {
  test("signing in sets a cookie for the container's path, and a request with a valid cookie gets no other", async () => {
    const { setCookie } = await visit(basic);
    expect(setCookie).toMatch(/^docker-server-proxy=[\w.-]+; Path=\/proxy\/web\/; Max-Age=43200; HttpOnly; SameSite=Lax$/);
    expect(await visit({ ...basic, cookie: await signIn() })).toEqual({ setCookie: undefined, identity: "ann" });
    expect(await visit({ cookie: "docker-server-proxy=1.YW5u.x" })).toEqual({ setCookie: undefined, identity: undefined });
  });

  test("a cookie is valid on every node, with clocks up to an hour apart, until it expires", async () => {
    const cookie = await signIn();
    for (const hours of [-1, 0, 1, 11.9]) expect(await identityOf(cookie, { at: NOW + hours * HOUR })).toBe("ann");
    expect(await identityOf(cookie, { at: NOW + 12 * HOUR })).toBeUndefined();
    expect(await identityOf(cookie, { auth: sessionAuthOf({}, "another cluster") })).toBeUndefined();
  });

  test("a cookie is valid only for the path as it was written at sign-in", async () => {
    const cookie = await signIn();
    expect(await identityOf(cookie, { url: "/proxy/web/" })).toBe("ann");
    for (const url of ["/proxy/web2/", "/proxy/we/", "/proxy/%77eb/", "/proxy/b/proxy/web/"])
      expect(await identityOf(cookie, { url })).toBeUndefined();
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
    const [expiresAt = "", caller = "", signature = ""] = cookie.slice(cookie.indexOf("=") + 1).split(".");
    const other = Buffer.from("token-1").toString("base64url");
    const forged = [
      `${expiresAt}0.${caller}.${signature}`,
      `${expiresAt}.${other}.${signature}`,
      `${expiresAt}.${caller}.${signature.slice(1)}`,
      `${expiresAt}.${caller}`,
    ];
    for (const value of [...forged, "", ".", "..", "%"]) expect(await identityOf(`docker-server-proxy=${value}`)).toBeUndefined();
  });
});
