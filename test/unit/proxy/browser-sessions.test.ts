import type { Request, Response } from "express";
import { Credentials } from "../../../lib/auth/credentials";
import { Signatures } from "../../../lib/cluster/rpc/signatures";
import { BrowserSessions } from "../../../lib/proxy/browser-sessions";
import { quietLog } from "../../support/unit/quiet-log";

const HOUR = 3_600_000;
const NOW = Date.now();
const settings = { token: ["one", "two"], token_file: null, user: "ann", password: "first" };

/** One node's door; all of a cluster know the secret. */
function doorOf(changed: Partial<typeof settings> = {}, secret = "shared") {
  const credentials = Credentials.load({ ...settings, ...changed }, quietLog().log, secret);
  return new BrowserSessions(new Signatures([secret]), credentials).sessionAuth((_request, response, next) => {
    response.locals.asked = true;
    next();
  });
}

/** What a visit gets: the cookie, and who it is known by; undefined if credentials are asked for. */
async function visit(headers: Record<string, string>, options: { door?: ReturnType<typeof doorOf>; url?: string; at?: number } = {}) {
  const { door = doorOf(), url = "/proxy/web/page", at = NOW } = options;
  jest.spyOn(Date, "now").mockReturnValue(at);
  let given: string | undefined;
  const response = { locals: {} as Record<string, unknown>, append: (_name: string, value: string) => (given = value) };
  await door({ method: "GET", url, headers } as unknown as Request, response as unknown as Response, () => undefined);
  return { given, caller: response.locals.asked ? undefined : response.locals.identity };
}

const basic = { authorization: `Basic ${Buffer.from("ann:first").toString("base64")}` };
const signIn = async () => ((await visit(basic)).given as string).split(";")[0] as string;
const ofCookie = async (cookie: string, options: Parameters<typeof visit>[1] = {}) => (await visit({ cookie }, options)).caller;

afterEach(() => jest.restoreAllMocks());

test("signing in sets a cookie for the container's path, and a request with a valid cookie gets no other", async () => {
  const { given } = await visit(basic);
  expect(given).toMatch(/^docker-server-proxy=[\w.-]+; Path=\/proxy\/web\/; Max-Age=43200; HttpOnly; SameSite=Lax$/);
  expect(await visit({ ...basic, cookie: await signIn() })).toEqual({ given: undefined, caller: "ann" });
  expect(await visit({ cookie: "docker-server-proxy=1.YW5u.x" })).toEqual({ given: undefined, caller: undefined });
});

test("a cookie is valid on every node, with clocks up to an hour apart, until it expires", async () => {
  const cookie = await signIn();
  for (const hours of [-1, 0, 1, 11.9]) expect(await ofCookie(cookie, { at: NOW + hours * HOUR })).toBe("ann");
  expect(await ofCookie(cookie, { at: NOW + 12 * HOUR })).toBeUndefined();
  expect(await ofCookie(cookie, { door: doorOf({}, "another cluster") })).toBeUndefined();
});

test("a cookie is valid only for the path as it was written at sign-in", async () => {
  const cookie = await signIn();
  expect(await ofCookie(cookie, { url: "/proxy/web/" })).toBe("ann");
  for (const url of ["/proxy/web2/", "/proxy/we/", "/proxy/%77eb/", "/proxy/b/proxy/web/"])
    expect(await ofCookie(cookie, { url })).toBeUndefined();
});

test("a cookie is invalid once the credentials behind it are invalid", async () => {
  const cookie = await signIn();
  expect(await ofCookie(cookie, { door: doorOf({ token: ["three"] }) })).toBe("ann");
  expect(await ofCookie(cookie, { door: doorOf({ password: "second" }) })).toBeUndefined();
  expect(await ofCookie(cookie, { door: doorOf({ user: "bob" }) })).toBeUndefined();
});

test("a cookie with any changed part is refused, and other cookies don't matter", async () => {
  const cookie = await signIn();
  expect(await ofCookie(`a=1; docker-server-proxy=x; ${cookie};b`)).toBe("ann");
  const [until = "", caller = "", signature = ""] = cookie.slice(cookie.indexOf("=") + 1).split(".");
  const other = Buffer.from("token-1").toString("base64url");
  const forged = [
    `${until}0.${caller}.${signature}`,
    `${until}.${other}.${signature}`,
    `${until}.${caller}.${signature.slice(1)}`,
    `${until}.${caller}`,
  ];
  for (const value of [...forged, "", ".", "..", "%"]) expect(await ofCookie(`docker-server-proxy=${value}`)).toBeUndefined();
});
