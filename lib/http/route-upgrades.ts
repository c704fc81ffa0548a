import http from "node:http";
import type { Duplex } from "node:stream";
import type { Upgrades } from "../server/upgrades";
import type { Upgradable } from "../support/reply";
import type { Route } from "./route";

/** RFC 6455, section 4.2.1 */
const VERSION = "13";
const KEY = /^[+/0-9A-Za-z]{22}==$/;
/** So long (ms) a connection that is to end may take over what is still to be sent. */
const LAST_WORDS = 1000;

const offers = new WeakMap<http.IncomingMessage, Upgradable>();

/** The connection of a request that offers an upgrade to a route which takes them; undefined for any other request. */
export function upgradable(request: http.IncomingMessage): Upgradable | undefined {
  return offers.get(request);
}

/**
 * Takes upgrades, and has them answered as any other request: let in, counted,
 * logged and sent to its node by the same code. What refuses one is a plain answer, and the connection's last.
 */
export class RouteUpgrades implements Upgrades {
  private readonly sockets = new Set<Duplex>();
  private closed = false;

  /**
   * @param isFor which it takes, of requests without a body
   * @param answer what answers requests
   */
  constructor(
    private readonly isFor: (request: http.IncomingMessage) => boolean,
    private readonly answer: http.RequestListener,
  ) {}

  accept(request: http.IncomingMessage, socket: Duplex, head: Buffer): boolean {
    const { method, headers } = request;
    const hasBody = headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
    if (method !== "GET" || hasBody || !this.isFor(request)) return false;
    if (this.closed) {
      socket.destroy();
      return true;
    }
    this.sockets.add(socket);
    socket.once("close", () => this.sockets.delete(socket));
    const response = new http.ServerResponse(request);
    response.shouldKeepAlive = false;
    // Node's own listeners have left the connection with the offer.
    response.assignSocket(socket as Parameters<typeof response.assignSocket>[0]);
    socket.on("drain", () => response.emit("drain"));
    response.once("finish", () => end(socket));
    offers.set(request, { request, socket, head });
    this.answer(request, response);
    return true;
  }

  close(): void {
    this.closed = true;
    for (const socket of this.sockets) end(socket);
  }
}

/** Tells which requests offer a WebSocket to a route that takes one. */
export function upgradesOf(routes: Route[]): (request: http.IncomingMessage) => boolean {
  const paths = routes.filter(({ upgrade }) => upgrade).map(({ path }) => patternOf(path));
  return ({ url = "", headers }) => {
    if (headers.upgrade?.toLowerCase() !== "websocket") return false;
    if (headers["sec-websocket-version"] !== VERSION || !KEY.test(headers["sec-websocket-key"] ?? "")) return false;
    const [path = ""] = url.split("?");
    return paths.some((pattern) => pattern.test(path));
  };
}

/** As Express matches it. */
function patternOf(path: string): RegExp {
  const open = path.replace(/[.]/g, "\\.").replace(/:\w+/g, "[^/]+").replace(/\*\w+/g, ".+");
  return new RegExp(`^${open}/?$`);
}

function end(socket: Duplex): void {
  // What comes after a refusal nobody reads: left where it is, it would cut the answer off.
  if (socket.readableFlowing === null) socket.resume();
  socket.end();
  const timer = setTimeout(() => socket.destroy(), LAST_WORDS);
  socket.once("close", () => clearTimeout(timer));
}
