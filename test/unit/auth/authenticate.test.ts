import type { Request, Response } from "express";
import { authenticator } from "../../../lib/auth/authenticate";
import { Credentials } from "../../../lib/auth/credentials";
import { NarrowTokens } from "../../../lib/auth/narrow-tokens";
import { Tickets } from "../../../lib/auth/tickets";
import type { AppError } from "../../../lib/errors";
import { FailureLimit } from "../../../lib/http/rate-limit";
import { tokenOf } from "../../support/unit/access-parts";
import { quietLog } from "../../support/unit/quiet-log";

const credentials = Credentials.load({ token: ["secret"], token_file: null, user: null, password: null }, quietLog().log);
const narrow = new NarrowTokens({ cluster_key: [], token: ["secret"], token_file: null, user: null, password: null });
const tickets = new Tickets({ sign: () => "", verify: () => false }, (claim) => narrow.accept(claim));
const { authenticate } = authenticator(credentials, new FailureLimit(0), () => undefined, ["http://ours.example"], tickets, narrow);

/** Sends a request to a public route; returns true or the error code. */
async function requestPublic(query: Record<string, string>, headers: Record<string, string> = {}): Promise<unknown> {
  const request = { method: "GET", originalUrl: "/health", query, headers, socket: {}, ip: "127.0.0.1" } as unknown as Request;
  const response = { locals: {}, set: () => undefined, once: () => undefined } as unknown as Response;
  try {
    let accepted = false;
    await authenticate({ public: true })(request, response, () => {
      accepted = true;
    });
    return accepted;
  } catch (error) {
    return (error as AppError).code;
  }
}

describe("authenticator", () => {
  test("a HEAD request from a page of another origin is refused, because HEAD can pull an image", async () => {
    const requestHead = async (fetchSite: string | undefined, origin?: string) => {
      const headers = { "x-access-token": "secret", ...(fetchSite ? { "sec-fetch-site": fetchSite } : {}), ...(origin ? { origin } : {}) };
      const request = { method: "HEAD", originalUrl: "/busybox", query: {}, headers, socket: {}, ip: "127.0.0.1" } as unknown as Request;
      const response = { locals: {}, set: () => undefined, once: () => undefined } as unknown as Response;
      try {
        await authenticate({})(request, response, () => undefined);
        return "let in";
      } catch (error) {
        return (error as AppError).code;
      }
    };
    for (const site of ["cross-site", "same-site"]) expect(await requestHead(site)).toBe("CROSS_SITE");
    for (const site of ["same-origin", "none", undefined]) expect(await requestHead(site)).toBe("let in");
    expect(await requestHead("cross-site", "http://elsewhere.example")).toBe("CROSS_SITE");
    expect(await requestHead("cross-site", "http://ours.example")).toBe("let in");
  });

  test.each([
    ["Bearer", (token: string) => ({ authorization: `Bearer ${token}` })],
    ["Basic", (token: string) => ({ authorization: `Basic ${Buffer.from(`user:${token}`).toString("base64")}` })],
    ["X-API-Key", (token: string) => ({ "x-api-key": token })],
  ])("a narrow token of another key, or a damaged one, is refused as such in %s", async (_name, present) => {
    const messageOf = async (token: string) => {
      const request = { method: "GET", originalUrl: "/", query: {}, headers: present(token), socket: {}, ip: "127.0.0.1" };
      const response = { locals: {}, set: () => undefined, once: () => undefined } as unknown as Response;
      const answered = authenticate({})(request as unknown as Request, response, () => undefined) as unknown as Promise<void>;
      return answered.catch(({ code, message }: AppError) => [code, message]);
    };
    const narrowMessage = [
      "WRONG_CREDENTIALS",
      "This narrow token is not valid: it is damaged, or was made with another key or token than this server's",
    ];
    expect(await messageOf(tokenOf())).toEqual(narrowMessage);
    expect(await messageOf("ds1_damaged")).toEqual(narrowMessage);
    expect(await messageOf("other")).toEqual(["WRONG_CREDENTIALS", expect.stringContaining("Authorization: Bearer TOKEN")]);
  });

  test("a public route needs credentials only with ?node=", async () => {
    expect(await requestPublic({})).toBe(true);
    expect(await requestPublic({ node: "another" })).toBe("MISSING_CREDENTIALS");
    expect(await requestPublic({ node: "another" }, { "x-access-token": "secret" })).toBe(true);
  });
});
