import type http from "node:http";
import type { Duplex } from "node:stream";

/** Takes an upgrade, or says that it is not for it. */
export interface Upgrades {
  accept(request: http.IncomingMessage, socket: Duplex, head: Buffer): boolean;
  /** Ends all connections that were taken. */
  close(): void;
}

/** What those who take upgrades, in this order, are as one. */
export function firstOf(...takers: Upgrades[]): Upgrades {
  return {
    accept: (...offer) => takers.some((taker) => taker.accept(...offer)),
    close: () => {
      for (const taker of takers) taker.close();
    },
  };
}

/**
 * Gives upgrades to whoever takes them. Any other request that offers one is answered as if it had not (RFC 9110, section
 * 7.8): curl, for instance, offers h2c with `--http2`.
 * @param connection the event by which the server takes in a connection
 */
export function serveUpgrades(server: http.Server, connection: "connection" | "secureConnection", upgrades: Upgrades): void {
  const met = new WeakSet<Duplex>();
  const answering = new WeakMap<Duplex, http.ServerResponse>();
  server.on("request", ({ socket }: http.IncomingMessage, response: http.ServerResponse) => answering.set(socket, response));
  server.on("upgrade", (request: http.IncomingMessage, socket: Duplex, head: Buffer) => {
    if (!met.has(socket)) socket.on("error", () => socket.destroy());
    met.add(socket);
    const take = () => {
      if (socket.destroyed || upgrades.accept(request, socket, head)) return;
      socket.unshift(Buffer.concat([withoutUpgrade(request), head]));
      server.emit(connection, socket);
    };
    // Answers come in the order of the requests: what was asked before on this connection is answered first.
    const before = answering.get(socket);
    if (before && !before.closed) before.once("close", take);
    else take();
  });
}

/** The head of a request as it came, but for the offer. */
function withoutUpgrade({ method, url, httpVersion, rawHeaders }: http.IncomingMessage): Buffer {
  const lines = [`${method} ${url} HTTP/${httpVersion}`];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const [name = "", value = ""] = rawHeaders.slice(at, at + 2);
    if (/^(upgrade|http2-settings)$/i.test(name)) continue;
    lines.push(`${name}: ${/^connection$/i.test(name) ? withoutOffer(value) : value}`);
  }
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
}

function withoutOffer(value: string): string {
  const options = value.split(",").map((option) => option.trim());
  return options.filter((option) => !/^(upgrade|http2-settings)$/i.test(option)).join(", ") || "keep-alive";
}
