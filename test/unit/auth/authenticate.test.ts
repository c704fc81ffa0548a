import type { Request, Response } from "express";
import { authenticator } from "../../../lib/auth/authenticate";
import { Credentials } from "../../../lib/auth/credentials";
import { Tickets } from "../../../lib/auth/tickets";
import { FailureLimit } from "../../../lib/http/rate-limit";
import { quietLog } from "../../support/unit/quiet-log";

const credentials = Credentials.load({ token: ["secret"], token_file: null, user: null, password: null }, quietLog().log);
const tickets = new Tickets({ sign: () => "", verify: () => false });
const authenticate = authenticator(credentials, new FailureLimit(0), () => undefined, ["http://ours.example"], tickets);
type Failed = { code: string };

/** Whether a public route lets a request in, or with what error not. */
async function enters(query: Record<string, string>, headers: Record<string, string> = {}): Promise<unknown> {
  const request = { method: "GET", originalUrl: "/health", query, headers, socket: {}, ip: "127.0.0.1" } as unknown as Request;
  const response = { locals: {}, set: () => undefined } as unknown as Response;
  try {
    let entered = false;
    await authenticate({ public: true })(request, response, () => {
      entered = true;
    });
    return entered;
  } catch (error) {
    return (error as Failed).code;
  }
}

test("a HEAD request from a page of another origin is refused, because HEAD can pull an image", async () => {
  const head = async (site: string | undefined, origin?: string) => {
    const headers = { "x-access-token": "secret", ...(site ? { "sec-fetch-site": site } : {}), ...(origin ? { origin } : {}) };
    const request = { method: "HEAD", originalUrl: "/busybox", query: {}, headers, socket: {}, ip: "127.0.0.1" } as unknown as Request;
    const response = { locals: {}, set: () => undefined } as unknown as Response;
    try {
      await authenticate({})(request, response, () => undefined);
      return "let in";
    } catch (error) {
      return (error as Failed).code;
    }
  };
  for (const site of ["cross-site", "same-site"]) expect(await head(site)).toBe("CROSS_SITE");
  for (const site of ["same-origin", "none", undefined]) expect(await head(site)).toBe("let in");
  expect(await head("cross-site", "http://elsewhere.example")).toBe("CROSS_SITE");
  expect(await head("cross-site", "http://ours.example")).toBe("let in");
});

test("a public route needs credentials only with ?node=", async () => {
  expect(await enters({})).toBe(true);
  expect(await enters({ node: "another" })).toBe("MISSING_CREDENTIALS");
  expect(await enters({ node: "another" }, { "x-access-token": "secret" })).toBe(true);
});
