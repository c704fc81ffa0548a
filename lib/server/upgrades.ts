import type http from "node:http";
import type { Duplex } from "node:stream";
import { hasBody, READS_OFFERED_BODIES } from "../support/offered-bodies";

/** Takes over the connections of upgrades. */
export interface UpgradeHandler {
  /** Whether the offered upgrade is for this handler. */
  accepts(request: http.IncomingMessage): boolean;
  /**
   * Takes over the connection of an upgrade that it accepts.
   * @param head bytes after the head of the request
   */
  take(request: http.IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Closes all connections that it has taken over. */
  close(): void;
}

/** Combines upgrade handlers: the first that accepts an upgrade gets it. */
export function firstAccepting(...handlers: UpgradeHandler[]): UpgradeHandler {
  return {
    accepts: (request) => handlers.some((handler) => handler.accepts(request)),
    take: (request, socket, head) => handlers.find((handler) => handler.accepts(request))?.take(request, socket, head),
    close: () => {
      for (const handler of handlers) handler.close();
    },
  };
}

/**
 * The options of a server whose offered upgrades are dispatched. A request with a body whose upgrade is not accepted is handled by Node.js
 * itself where that reads the body. All others come as an upgrade: with a request that it is told not to upgrade, Node.js drops what came
 * behind it.
 */
export function upgradeOptions(upgrades: UpgradeHandler): http.ServerOptions {
  if (!READS_OFFERED_BODIES) return {};
  const shouldUpgradeCallback = (request: http.IncomingMessage) => upgrades.accepts(request) || !hasBody(request);
  return { shouldUpgradeCallback } as http.ServerOptions;
}

/**
 * Passes offered upgrades to the handler. A request whose upgrade it doesn't accept is handled as a request without one (RFC 9110,
 * section 7.8): curl, for instance, offers h2c with `--http2`.
 * @param connectionEvent the server's event for a new connection
 */
export function dispatchUpgrades(server: http.Server, connectionEvent: "connection" | "secureConnection", upgrades: UpgradeHandler): void {
  const knownSockets = new WeakSet<Duplex>();
  const lastResponses = new WeakMap<Duplex, http.ServerResponse>();
  server.prependListener("request", (request: http.IncomingMessage, response: http.ServerResponse) => {
    lastResponses.set(request.socket, response);
    // What came behind it is lost: no further request can be read from this connection.
    if (READS_OFFERED_BODIES && request.headers.upgrade !== undefined) response.setHeader("Connection", "close");
  });
  server.on("upgrade", (request: http.IncomingMessage, socket: Duplex, head: Buffer) => {
    if (!knownSockets.has(socket)) socket.on("error", () => socket.destroy());
    knownSockets.add(socket);
    const acceptOrReplay = () => {
      if (socket.destroyed) return;
      if (upgrades.accepts(request)) return upgrades.take(request, socket, head);
      socket.unshift(Buffer.concat([headWithoutUpgrade(request), head]));
      server.emit(connectionEvent, socket);
    };
    // Responses keep the order of the requests: those to earlier requests on this connection go first.
    const pending = lastResponses.get(request.socket);
    if (pending && !pending.closed) pending.once("close", acceptOrReplay);
    else acceptOrReplay();
  });
}

/** The head of a request as it was received, without its offer of an upgrade. */
function headWithoutUpgrade({ method, url, httpVersion, rawHeaders }: http.IncomingMessage): Buffer {
  const lines = [`${method} ${url} HTTP/${httpVersion}`];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const [name = "", value = ""] = rawHeaders.slice(index, index + 2);
    if (/^(upgrade|http2-settings)$/i.test(name)) continue;
    lines.push(`${name}: ${/^connection$/i.test(name) ? withoutUpgradeOption(value) : value}`);
  }
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
}

function withoutUpgradeOption(value: string): string {
  const options = value.split(",").map((option) => option.trim());
  return options.filter((option) => !/^(upgrade|http2-settings)$/i.test(option)).join(", ") || "keep-alive";
}
