import type { NextFunction, Request, RequestHandler, Response } from "express";
import { Access } from "../access/access";
import { PEER_HEADER, type PeerRequest } from "../cluster/rpc/signatures";
import { AppError } from "../errors";
import { inProcessOrigin } from "../http/in-process";
import type { FailureLimit } from "../http/rate-limit";
import type { Route } from "../http/route";
import { type Credentials, presentsNarrowToken, type Verdict } from "./credentials";
import { refuseCrossSite, SAFE_METHODS } from "./cross-site";
import type { NarrowTokens } from "./narrow-tokens";
import type { Tickets } from "./tickets";

/** One message, whatever is wrong with the signature. */
const WRONG_NARROW_TOKEN = "This narrow token is not valid: it is damaged, or was made with another key or token than this server's";

/** Verifies the signature header of another node's request; undefined if it isn't valid. */
export type VerifyPeerRequest = (method: string, url: string, header: string) => PeerRequest | undefined;

/**
 * Makes the authentication middleware of each route. It sets `identity`, `access` and, for another node's request, `peer` in
 * `response.locals`, or throws AppError MISSING_CREDENTIALS, WRONG_CREDENTIALS, TOO_MANY_WRONG_CREDENTIALS, CROSS_SITE, TOKEN_REFUSED
 * or REFUSED_BY_TOKEN. A connection of a narrow token is cut when the token ends.
 * @param credentials the valid ones
 * @param failures counts wrong credentials per address: past its limit only wrong ones are refused with 429, so that no client locks
 *   out others behind the same address
 * @param allowedOrigins origins whose pages may send requests that change something, besides our own
 * @param tickets accepted by ticketed routes
 * @param narrow the narrow tokens
 */
export function authenticator(
  credentials: Credentials,
  failures: FailureLimit,
  verifyPeerRequest: VerifyPeerRequest,
  allowedOrigins: string[],
  tickets: Tickets,
  narrow: NarrowTokens,
) {
  const authenticate =
    (route: Pick<Route, "public" | "anonymousBody" | "acceptsTicket">): RequestHandler =>
    async (request: Request, response: Response, next: NextFunction) => {
      // With `?node=` even a public route makes this node call another one: that needs credentials.
      if (route.public && request.query.node === undefined) return next();
      const origin = inProcessOrigin(request);
      if (origin) {
        const { caller, refusal } = origin;
        response.locals.identity = caller.identity;
        // Its address was judged with the request that this one is part of.
        admit(caller.access, undefined, response);
        if (refusal) throw refusal;
        return next();
      }
      const peerHeader = request.headers[PEER_HEADER];
      const peer = typeof peerHeader === "string" ? verifyPeerRequest(request.method, request.originalUrl, peerHeader) : undefined;
      if (peer) {
        response.locals.identity = peer.caller;
        response.locals.peer = peer;
        // The node that the client is connected to has judged its address.
        admit(peer.token ? narrow.accept(peer.token) : Access.full, undefined, response);
        return next();
      }
      const presented = credentials.check(request.headers);
      const verdict = presented === "missing" && route.acceptsTicket ? checkTicket(tickets, credentials, request) : presented;
      if (verdict === "missing" && route.anonymousBody && SAFE_METHODS.has(request.method))
        return void response.json(route.anonymousBody());
      if (verdict === "wrong") await countFailure(failures, request, response);
      if (verdict === "missing" || verdict === "wrong") throw unauthorized(verdict, request, response);
      response.locals.identity = verdict.identity;
      credentials.liveRequests.track(verdict.identity, response);
      admit(verdict.access, request, response);
      refuseCrossSite(request, allowedOrigins);
      next();
    };

  /** @param request of the client itself; undefined if another node has judged its address */
  function admit(access: Access, request: Request | undefined, response: Response): void {
    response.locals.access = access;
    if (access.isFull) return;
    access.assertLive();
    if (request) access.assertAddress(response.locals.address);
    const stop = narrow.endWith(access, () => response.req.socket.destroy());
    response.once("close", stop);
  }

  return { authenticate, admit };
}

/** @throws AppError TOO_MANY_WRONG_CREDENTIALS */
async function countFailure(failures: FailureLimit, request: Request, response: Response): Promise<void> {
  const blockedSeconds = await failures.retryAfterSeconds(request);
  if (blockedSeconds === 0) return failures.count(request);
  response.set("Retry-After", String(blockedSeconds));
  throw new AppError("TOO_MANY_WRONG_CREDENTIALS", { details: { retry_after: blockedSeconds } });
}

function checkTicket(tickets: Tickets, credentials: Credentials, request: Request): Verdict {
  const { ticket } = request.query;
  if (typeof ticket !== "string") return "missing";
  const holder = tickets.holderOf(ticket);
  return holder === undefined || credentials.isRevoked(holder.identity) ? "wrong" : { ...holder, fingerprint: "" };
}

function unauthorized(verdict: "missing" | "wrong", request: Request, response: Response): AppError {
  response.set("WWW-Authenticate", `Basic realm="${response.locals.realm ?? "docker-server"}", charset="UTF-8"`);
  if (verdict === "missing") return new AppError("MISSING_CREDENTIALS");
  return new AppError("WRONG_CREDENTIALS", presentsNarrowToken(request.headers) ? { message: WRONG_NARROW_TOKEN } : {});
}
