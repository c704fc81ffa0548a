import http from "node:http";
import type { Duplex } from "node:stream";
import type { UpgradeHandler } from "../server/upgrades";
import { hasBody } from "../support/offered-bodies";
import type { Route } from "./route";

/** The values that a client must send (RFC 6455, section 4.2.1). */
const WEBSOCKET_VERSION = "13";
const WEBSOCKET_KEY = /^[+/0-9A-Za-z]{22}==$/;
/** A closing connection may take this time to send its last bytes. */
const CLOSE_TIMEOUT_MS = 1000;

/**
 * Hands requests that offer an upgrade to the same listener as all other requests, so that the same code authenticates, limits,
 * logs and routes them. The request carries the offer. A refusal is a plain response and the last one on its connection.
 */
export class RouteUpgrades implements UpgradeHandler {
  private readonly sockets = new Set<Duplex>();
  private closed = false;

  /**
   * @param matches tells which requests it handles
   * @param listener answers requests
   * @param acceptsBody whether it handles requests of other methods than GET and with a body too: the body's bytes are the offer's
   */
  constructor(
    private readonly matches: (request: http.IncomingMessage) => boolean,
    private readonly listener: http.RequestListener,
    private readonly acceptsBody = false,
  ) {}

  accepts(request: http.IncomingMessage): boolean {
    return (this.acceptsBody || (request.method === "GET" && !hasBody(request))) && this.matches(request);
  }

  take(request: http.IncomingMessage, socket: Duplex, head: Buffer): void {
    if (this.closed) return void socket.destroy();
    this.sockets.add(socket);
    socket.once("close", () => this.sockets.delete(socket));
    const response = new http.ServerResponse(request);
    response.shouldKeepAlive = false;
    // Node detaches its HTTP listeners from a connection that emits "upgrade".
    response.assignSocket(socket as Parameters<typeof response.assignSocket>[0]);
    socket.on("drain", () => response.emit("drain"));
    response.once("finish", () => endGracefully(socket));
    request.upgradeOffer = { request, socket, head };
    this.listener(request, response);
  }

  close(): void {
    this.closed = true;
    for (const socket of this.sockets) endGracefully(socket);
  }
}

/** Matches requests that offer a WebSocket to a route that accepts upgrades. */
export function upgradeMatcher(routes: Route[]): (request: http.IncomingMessage) => boolean {
  const paths = routes.filter(({ upgrade }) => upgrade).map(({ path }) => patternOf(path));
  return ({ url = "", headers }) => {
    if (headers.upgrade?.toLowerCase() !== "websocket") return false;
    if (headers["sec-websocket-version"] !== WEBSOCKET_VERSION || !WEBSOCKET_KEY.test(headers["sec-websocket-key"] ?? "")) return false;
    const [path = ""] = url.split("?");
    return paths.some((pattern) => pattern.test(path));
  };
}

/** The path pattern as Express matches it. */
function patternOf(path: string): RegExp {
  const pattern = path.replace(/[.]/g, "\\.").replace(/:\w+/g, "[^/]+").replace(/\*\w+/g, ".+");
  return new RegExp(`^${pattern}/?$`);
}

function endGracefully(socket: Duplex): void {
  // Unread bytes in the receive buffer would make the kernel reset the connection before the response arrives.
  if (socket.readableFlowing === null) socket.resume();
  socket.end();
  const timer = setTimeout(() => socket.destroy(), CLOSE_TIMEOUT_MS);
  socket.once("close", () => clearTimeout(timer));
}
