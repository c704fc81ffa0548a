import type { IncomingHttpHeaders } from "node:http";
import type { Request, Response } from "express";
import { Access, type RouteAccess } from "../access/access";
import type { Pool } from "../cluster/pool";
import { PeerFailure } from "../cluster/rpc/peer-failure";
import { PEER_HEADER } from "../cluster/rpc/signatures";
import { AppError } from "../errors";
import { pipeBoth } from "../support/pipe-both";
import { SESSION_COOKIE } from "./browser-sessions";
import { ConnectionPool } from "./connection-pool";
import { formatHead, headerValues, type RawHeaders, type ResponseHead } from "./http1/message-head";
import { NO_ANSWER } from "./http1/response-reader";
import { type ProxyTarget, parseProxyTarget } from "./proxy-path";
import { type ProxyRequest, Relay, RelayFailure, resetConnection } from "./relay";
import { clientRequestHeaders, connectionHeaders, peerRequestHeaders, withUpstreamOrigin } from "./request-headers";
import { confineToPrefix, endToEndHeaders, withoutUpstreamAddress } from "./response-headers";
import type { ResolvedUpstream, UpstreamResolver } from "./upstream-resolver";

const ALLOWED_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
const REFUSED_METHODS = new Set(["TRACE", "CONNECT"]);
/** What a token must permit; the container is looked up by its labels. */
const PROXY_ACCESS: RouteAccess = { permission: "proxy", confined: "container" };
/** Added to the response timeout for another node, which applies the same timeout to the container. */
const PEER_LEEWAY_MS = 2000;

export interface ReverseProxyOptions {
  upstreams: UpstreamResolver;
  /** undefined without a cluster */
  pool: Pool | undefined;
  /** Limit from the end of a request to the first byte of its response. */
  responseTimeoutMs: number;
  /** Whether these headers are valid credentials of this server itself. */
  isOwnCredential(headers: IncomingHttpHeaders): boolean;
}

/** One attempt to relay a request. */
interface Attempt {
  request: Request;
  response: Response;
  target: ProxyTarget;
  upstream: ResolvedUpstream;
  /** whether the container's pages share their origin with the API */
  sandbox: boolean;
  forceNewConnection: boolean;
}

/** Relays requests to what containers serve, on this node or on another one. */
export class ReverseProxy {
  private readonly connectionPool = new ConnectionPool();

  constructor(private readonly options: ReverseProxyOptions) {}

  /**
   * Answers one authenticated request. A request that the upstream did not process is sent once more, to a newly resolved upstream.
   * @param sandbox whether the container's pages share their origin with the API
   * @throws AppError of `UpstreamResolver.resolve`; METHOD_NOT_ALLOWED; INVALID_INPUT; UPSTREAM_FAILED; UPSTREAM_TIMEOUT; NODE_FAILED
   */
  async handle(request: Request, response: Response, sandbox: boolean): Promise<void> {
    const { access } = response.locals;
    if (!access) throw new AppError("MISSING_CREDENTIALS");
    access.assertRoute(PROXY_ACCESS);
    const target = parseProxyTarget(request.url);
    if (!target) {
      const [, port] = /^[^?#]*\/proxy\/[^/?#]*(?::|%3a)(\d+)(?=[/?#]|$)/i.exec(request.url) ?? [];
      const hint = port === undefined ? "" : `: a port is named by ?port=${port}`;
      throw new AppError("CONTAINER_NOT_FOUND", { message: `No container can have this name${hint}` });
    }
    checkForwardable(request, response);
    if (endsHere(request)) return void response.set({ Allow: ALLOWED_METHODS, "Content-Length": "0" }).end();
    const { peer, browserSession = false } = response.locals;
    for (let attempt = 1; ; attempt++) {
      const upstream = await this.options.upstreams.resolve(target, { fromPeer: peer !== undefined, exact: browserSession, access });
      try {
        return await this.relay({ request, response, target, upstream, sandbox, forceNewConnection: attempt > 1 });
      } catch (error) {
        if (!(error instanceof RelayFailure)) throw error;
        this.options.upstreams.invalidate();
        if (error.reason === "unreachable") upstream.peer?.markMissing(error.message);
        if (attempt > 1 || !error.safeToRetry || response.destroyed) throw toAppError(error, upstream);
      }
    }
  }

  private relay(attempt: Attempt): Promise<void> {
    const { request, response, upstream, forceNewConnection } = attempt;
    const { responseTimeoutMs, upstreams } = this.options;
    const { peer } = upstream;
    const offer = request.upgradeOffer;
    const toClientHeaders = responseHeaderFilter(attempt);
    return Relay.run(
      {
        request,
        response,
        endpoint: upstream.endpoint,
        forceNewConnection: forceNewConnection || offer !== undefined,
        head: formatHead(`${request.method} ${upstream.target} HTTP/1.1`, this.upstreamHeaders(attempt)),
        responseTimeoutMs: peer ? responseTimeoutMs + PEER_LEEWAY_MS : responseTimeoutMs,
        watchUpstream: upstream.watchUpstream,
        toClientHeaders(head) {
          // An error of the other node itself: the cached location of the container may be out of date.
          if (peer && head.status >= 400 && headerValues(head.headers, "x-error-code").length > 0) upstreams.invalidate();
          return toClientHeaders(head);
        },
        onUpgrade: offer && upgradeHandler(attempt, offer, toClientHeaders),
      },
      this.connectionPool,
    );
  }

  private upstreamHeaders(attempt: Attempt): RawHeaders {
    const { request, response, upstream } = attempt;
    const { peer, host, target } = upstream;
    const headers = connectionHeaders(request, host, request.upgradeOffer && request.headers.upgrade);
    headers.push(...(response.locals.peer ? peerRequestHeaders(request) : this.headersFromClient(attempt)));
    if (peer) headers.push(PEER_HEADER, this.signForPeer(peer.name, request, response, target));
    return peer || !request.upgradeOffer ? headers : withUpstreamOrigin(headers, host);
  }

  private headersFromClient({ request, response, target, sandbox }: Attempt): RawHeaders {
    const { authorization = "", "x-access-token": token, "x-forward-authorization": forward, "x-api-key": apiKey } = request.headers;
    // After authentication by X-Access-Token or by a session cookie, the Authorization header may be for the container.
    const isOwnKey = apiKey !== undefined && this.options.isOwnCredential({ "x-api-key": apiKey });
    const hasOtherCredentials = token !== undefined || isOwnKey || response.locals.browserSession;
    // X-Forward-Authorization counts only for sandboxed pages: any other page could use it to get the credentials that its browser stores.
    const withheld = !(sandbox && forward === "true") && (!hasOtherCredentials || this.options.isOwnCredential({ authorization }));
    return clientRequestHeaders(
      request,
      target.prefix,
      { authorization: withheld, apiKey: isOwnKey, cookie: SESSION_COOKIE },
      response.locals.request_id,
    );
  }

  private signForPeer(nodeName: string, { method }: Request, response: Response, url: string): string {
    const { pool, responseTimeoutMs } = this.options;
    return (pool as Pool).client.signRequest(nodeName, {
      method,
      url,
      caller: response.locals.identity ?? "",
      access: response.locals.access ?? Access.full,
      remainingMs: responseTimeoutMs,
    });
  }

  close(): void {
    this.connectionPool.close();
  }
}

/** Makes the headers for the client from those of an upstream response. */
function responseHeaderFilter({ response, target, upstream, sandbox }: Attempt): (head: ResponseHead) => RawHeaders {
  const received = (head: ResponseHead) =>
    upstream.peer ? endToEndHeaders(head) : withoutUpstreamAddress(endToEndHeaders(head), upstream.host);
  // The node that the client is connected to confines them.
  if (response.locals.peer) return received;
  const confinement = {
    prefix: target.prefix,
    sandbox,
    sessionCookie: SESSION_COOKIE,
    hasOwnCors: response.hasHeader("Access-Control-Allow-Origin"),
  };
  return (head) => confineToPrefix(received(head), confinement);
}

/** Answers the client with the upstream's 101 and connects the two sockets. */
function upgradeHandler(
  { request, response }: Attempt,
  offer: NonNullable<Request["upgradeOffer"]>,
  toClientHeaders: (head: ResponseHead) => RawHeaders,
): ProxyRequest["onUpgrade"] {
  return (head, socket) => {
    response.statusCode = 101;
    const protocol = headerValues(head.headers, "upgrade").join(", ") || (request.headers.upgrade as string);
    const headers = ["Connection", "Upgrade", "Upgrade", protocol, "X-Request-Id", response.locals.request_id, ...toClientHeaders(head)];
    const sessionCookie = response.get("Set-Cookie");
    if (sessionCookie) headers.push("Set-Cookie", sessionCookie);
    offer.socket.write(formatHead(`HTTP/1.1 101 ${head.reason}`, headers), "latin1");
    pipeBoth(offer, socket, resetConnection);
  };
}

/** @throws AppError METHOD_NOT_ALLOWED; INVALID_INPUT for a request that can't be forwarded unambiguously */
function checkForwardable({ method, headers, rawHeaders }: Request, response: Response): void {
  if (REFUSED_METHODS.has(method)) {
    response.set("Allow", ALLOWED_METHODS);
    throw new AppError("METHOD_NOT_ALLOWED", { details: { allow: ALLOWED_METHODS } });
  }
  const codings = headers["transfer-encoding"]?.toLowerCase() ?? "chunked";
  const problem =
    headerValues(rawHeaders, "host").length > 1
      ? "More than one Host header"
      : codings === "chunked"
        ? undefined
        : "No Transfer-Encoding but chunked is understood";
  if (problem) {
    response.set("Connection", "close");
    throw new AppError("INVALID_INPUT", { message: problem });
  }
}

/** RFC 9110, section 7.6.2: an OPTIONS request with `Max-Forwards: 0` is answered by this server. */
function endsHere({ method, headers }: Request): boolean {
  return method === "OPTIONS" && headers["max-forwards"] === "0";
}

const RESET_CODES = new Set(["ECONNRESET", "EPIPE"]);

function toAppError(failure: RelayFailure, { peer }: ResolvedUpstream): AppError {
  if (failure.cause instanceof PeerFailure) return failure.cause.toAppError();
  if (peer) return new PeerFailure(peer.name, failure.message, failure.reason !== "unreachable").toAppError();
  const { cause } = failure;
  if (failure.reason === "timeout") return new AppError("UPSTREAM_TIMEOUT", { cause });
  if (failure.reason === "unreachable") return new AppError("UPSTREAM_UNREACHABLE", { cause });
  // Docker's own proxy accepts connections to any published port, and resets them or ends them if nothing listens in the container.
  const reason = RESET_CODES.has((cause as NodeJS.ErrnoException | undefined)?.code ?? "") ? NO_ANSWER : failure.message;
  return new AppError("UPSTREAM_FAILED", { message: `The container gave no answer that can be passed on: ${reason}`, cause });
}
