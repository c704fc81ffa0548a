import type { NextFunction, Request, RequestHandler, Response } from "express";
import { LRUCache } from "lru-cache";
import { PEER_HEADER, type PeerRequest } from "../cluster/rpc/signatures";
import { AppError } from "../errors";
import { innerCaller } from "../http/in-process";
import { addressOf, type FailureLimit } from "../http/rate-limit";
import type { Route } from "../http/route";
import { upgradable } from "../http/route-upgrades";
import type { Credentials, Verdict } from "./credentials";
import type { Tickets } from "./tickets";

/** Pages of other origins can make a browser send its credentials along: what changes something must come from our own. */
const SAFE = new Set(["GET", "HEAD", "OPTIONS"]);
/** What browsers call requests of pages of others (Fetch Metadata, section 2.3). */
const OTHER_SITES = new Set(["cross-site", "same-site"]);

/** Reads what another node's request carries; undefined if it isn't one, or not to be trusted. */
export type OpenPeer = (method: string, url: string, header: string) => PeerRequest | undefined;

/**
 * Makes the middleware that lets in who has a right to it.
 * @param credentials the valid ones
 * @param failures counts wrong ones by address
 * @param openPeer knows other nodes of the cluster
 * @param origins whose pages may do what changes something, beside our own
 * @param tickets knows what lets browsers in to terminals
 */
export function authenticator(credentials: Credentials, failures: FailureLimit, openPeer: OpenPeer, origins: string[], tickets: Tickets) {
  // Once an address has failed too often nothing more is tried for it, except what was right there before: guessing must not
  // lock out those who share the address.
  const good = new LRUCache<string, true>({ max: 10_000 });

  return (route: Pick<Route, "public" | "anonymous" | "ticketed">): RequestHandler =>
    async (request: Request, response: Response, next: NextFunction) => {
      // Other nodes are asked for nobody who isn't known.
      if (route.public && request.query.node === undefined) return next();
      const inner = innerCaller(request);
      if (inner) {
        response.locals.identity = inner.identity;
        return next();
      }
      const sealed = request.headers[PEER_HEADER];
      const peer = typeof sealed === "string" ? openPeer(request.method, request.originalUrl, sealed) : undefined;
      if (peer) {
        response.locals.identity = peer.caller;
        response.locals.peer = peer;
        return next();
      }
      const blocked = await failures.secondsLeft(request);
      if (blocked > 0 && !good.has(`${addressOf(request)} ${credentials.fingerprint(request.headers)}`)) {
        response.set("Retry-After", String(blocked));
        throw new AppError("TOO_MANY_WRONG_CREDENTIALS", { details: { retry_after: blocked } });
      }
      const presented = credentials.check(request.headers);
      const verdict = presented === "missing" && route.ticketed ? checkTicket(tickets, request) : presented;
      if (verdict === "missing" && route.anonymous && SAFE.has(request.method)) return void response.json(route.anonymous());
      if (verdict === "wrong") await failures.count(request);
      if (verdict === "missing" || verdict === "wrong") throw refused(verdict, response);
      if (verdict === presented) good.set(`${addressOf(request)} ${verdict.fingerprint}`, true);
      response.locals.identity = verdict.identity;
      refuseCrossSite(request, origins);
      next();
    };
}

function checkTicket(tickets: Tickets, request: Request): Verdict {
  const { ticket } = request.query;
  if (typeof ticket !== "string") return "missing";
  const identity = tickets.callerOf(ticket);
  return identity === undefined ? "wrong" : { identity, fingerprint: "" };
}

function refused(verdict: "missing" | "wrong", response: Response): AppError {
  response.set("WWW-Authenticate", `Basic realm="${response.locals.realm ?? "docker-server"}", charset="UTF-8"`);
  return new AppError(verdict === "missing" ? "MISSING_CREDENTIALS" : "WRONG_CREDENTIALS");
}

/**
 * Refuses what changes something, or upgrades, for a page of another origin.
 * @param origins whose pages may do so
 * @throws AppError CROSS_SITE
 */
export function refuseCrossSite(request: Request, origins: string[]): void {
  // What a page may not read of another origin it may read of a WebSocket.
  const { origin, "sec-fetch-site": site = "" } = request.headers;
  // HEAD pulls images, and its origin a browser tells only if the page is to read the answer.
  const changes = request.method === "HEAD" || !SAFE.has(request.method);
  if (changes && origin === undefined && OTHER_SITES.has(site)) throw new AppError("CROSS_SITE");
  if (!changes && !upgradable(request)) return;
  if (origin === undefined || origins.includes(origin)) return;
  const host = URL.canParse(origin) ? new URL(origin).host : origin;
  if (host !== request.host) throw new AppError("CROSS_SITE", { details: { origin } });
}
