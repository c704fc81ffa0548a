import type { Request, Response } from "express";
import type { Pool } from "../cluster/pool";
import { PeerFailure } from "../cluster/rpc/peer-failure";
import { PEER_HEADER } from "../cluster/rpc/signatures";
import { AppError } from "../errors";
import { upgradable } from "../http/route-upgrades";
import { pipeBoth } from "../support/pipe-both";
import { COOKIE } from "./browser-sessions";
import { Connections } from "./connections";
import { type AnswerHead, valuesOf } from "./http1/message-head";
import { type Asked, readTarget } from "./proxy-path";
import { headText, Relay, RelayFailure } from "./relay";
import { clientHeaders, connectionHeaders, nodeHeaders, type Secrets } from "./request-headers";
import { resetConnection } from "./reset-connection";
import { confined, passedHeaders } from "./response-headers";
import type { UpstreamResolver, Way } from "./upstream-resolver";

const METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
const REFUSED = new Set(["TRACE", "CONNECT"]);
/** ms that another node is given over what it gives the container itself. */
const LEEWAY = 2000;

export interface GatewayOptions {
  ways: UpstreamResolver;
  pool: Pool | undefined;
  /** ms until an answer begins */
  timeout: number;
  /** Whether a request's Authorization lets it in here. */
  isOurs(authorization: string): boolean;
}

/** Takes requests to what containers serve, and brings the answers back. */
export class ReverseProxy {
  private readonly connections = new Connections();

  constructor(private readonly options: GatewayOptions) {}

  /**
   * Answers one request of a client that was let in.
   * @param sandbox whether its pages share their origin with the API
   * @throws AppError
   */
  async answer(request: Request, response: Response, sandbox: boolean): Promise<void> {
    response.locals.route = "/proxy/:id/*path";
    const asked = readTarget(request.url);
    if (!asked) throw new AppError("CONTAINER_NOT_FOUND", { message: "No container can have this name" });
    if (!allowed(request, response)) return;
    for (let attempt = 1; ; attempt++) {
      const way = await this.options.ways.find(asked, response.locals.peer !== undefined);
      try {
        return await this.relay(request, response, { asked, way, sandbox, fresh: attempt > 1 });
      } catch (error) {
        if (!(error instanceof RelayFailure)) throw error;
        this.options.ways.forget();
        if (error.reason === "unreachable") way.peer?.failed(error.message);
        if (attempt > 1 || !error.untouched || response.destroyed) throw typed(error, way);
      }
    }
  }

  private relay(request: Request, response: Response, given: { asked: Asked; way: Way; sandbox: boolean; fresh: boolean }): Promise<void> {
    const { asked, way, sandbox, fresh } = given;
    const offer = upgradable(request);
    const protocol = offer && request.headers.upgrade;
    const { timeout, ways } = this.options;
    const hop = response.locals.peer !== undefined;
    const headers = connectionHeaders(request, way.host, protocol);
    headers.push(...(hop ? nodeHeaders(request) : this.fromClient(request, response, asked, sandbox)));
    const rules = { prefix: asked.prefix, sandbox, own: COOKIE, told: response.hasHeader("Access-Control-Allow-Origin") };
    const passed = (head: AnswerHead) => passedHeaders(head, response.locals.request_id);
    const told = (head: AnswerHead) => (hop ? passed(head) : confined(passed(head), rules));
    if (way.peer) headers.push(PEER_HEADER, this.seal(way.peer.name, request, response, way.url));
    return Relay.run(
      {
        request,
        response,
        target: way.target,
        fresh: fresh || offer !== undefined,
        head: headText(`${request.method} ${way.url} HTTP/1.1`, headers),
        timeout: way.peer ? timeout + LEEWAY : timeout,
        guard: way.guard,
        headersFor(head) {
          // Another node's own refusal: it knows better by now.
          if (way.peer && head.status >= 400 && valuesOf(head.headers, "x-error-code").length > 0) ways.forget();
          return told(head);
        },
        upgraded:
          offer &&
          ((head, socket) => {
            response.statusCode = 101;
            const agreed = valuesOf(head.headers, "upgrade").join(", ");
            const visit = response.get("Set-Cookie");
            const answer = ["Connection", "Upgrade", "Upgrade", agreed || (protocol as string), ...told(head)];
            if (visit) answer.push("Set-Cookie", visit);
            offer.socket.write(headText(`HTTP/1.1 101 ${head.reason}`, answer), "latin1");
            pipeBoth(offer, socket, resetConnection);
          }),
      },
      this.connections,
    );
  }

  private fromClient(request: Request, response: Response, { prefix }: Asked, sandbox: boolean) {
    const { authorization = "", "x-access-token": token, "x-forward-authorization": forward } = request.headers;
    // Who was let in by a token of ours, or a cookie, may have credentials of the container's beside it.
    const beside = token !== undefined || response.locals.visit;
    // A page that isn't sandboxed could ask for what its browser keeps.
    const ours = !(sandbox && forward === "true") && (!beside || this.options.isOurs(authorization));
    const secrets: Secrets = { authorization: ours, cookie: COOKIE };
    return clientHeaders(request, prefix, secrets, response.locals.request_id);
  }

  private seal(to: string, { method }: Request, response: Response, url: string): string {
    const { pool, timeout } = this.options;
    return (pool as Pool).client.signRequest(to, { method, url, caller: response.locals.identity ?? "", left: timeout });
  }

  close(): void {
    this.connections.close();
  }
}

/** Refuses what can't go on, and answers what must not. */
function allowed(request: Request, response: Response): boolean {
  const { method, headers, rawHeaders } = request;
  if (REFUSED.has(method)) {
    response.set("Allow", METHODS);
    throw new AppError("METHOD_NOT_ALLOWED", { details: { allow: METHODS } });
  }
  const codings = headers["transfer-encoding"]?.toLowerCase() ?? "chunked";
  const problem =
    valuesOf(rawHeaders, "host").length > 1
      ? "More than one Host header"
      : codings === "chunked"
        ? undefined
        : "No Transfer-Encoding but chunked is understood";
  if (problem) {
    response.set("Connection", "close");
    throw new AppError("INVALID_INPUT", { message: problem });
  }
  // RFC 9110, section 7.6.2: it stops here.
  if (method !== "OPTIONS" || headers["max-forwards"] !== "0") return true;
  response.set({ Allow: METHODS, "Content-Length": "0" }).end();
  return false;
}

function typed(failure: RelayFailure, { peer }: Way): AppError {
  if (failure.cause instanceof PeerFailure) return failure.cause.toAppError();
  if (peer) return new PeerFailure(peer.name, failure.message, failure.reason !== "unreachable").toAppError();
  const { cause } = failure;
  if (failure.reason === "timeout") return new AppError("UPSTREAM_TIMEOUT", { cause });
  if (failure.reason === "unreachable") return new AppError("UPSTREAM_UNREACHABLE", { cause });
  return new AppError("UPSTREAM_FAILED", { message: `The container gave no answer that can be passed on: ${failure.message}`, cause });
}
