import net from "node:net";
import { until } from "../../scripts/process";
import type { TestServer } from "./server";

/** A connection that sends bytes unchanged. */
export interface RawConnection {
  send(bytes: string | Buffer): void;
  /** Everything received so far. */
  received(): string;
  /** Waits until the received text matches and returns it; throws an Error with it after 20 s. */
  receives(pattern: RegExp): Promise<string>;
  closed(): boolean;
  end(): void;
}

/** Connects to a server, by default on loopback. */
export function connectRaw({ port }: Pick<TestServer, "port">, host = "127.0.0.1"): RawConnection {
  const socket = net.connect(port, host);
  let received = "";
  let closed = false;
  socket.on("data", (chunk) => {
    received += chunk.toString("latin1");
  });
  socket.on("error", () => undefined);
  socket.on("close", () => {
    closed = true;
  });
  return {
    send: (bytes) => void socket.write(bytes),
    received: () => received,
    async receives(pattern) {
      if (await until(() => pattern.test(received), 20_000)) return received;
      throw new Error(`it does not match ${pattern}: ${JSON.stringify(received.slice(0, 2000))}`);
    },
    closed: () => closed,
    end: () => void socket.destroy(),
  };
}

/** The head of a request as text; `lines` are its headers. */
export function head(method: string, path: string, lines: Record<string, string>): string {
  const headers = Object.entries({ Host: "node", ...lines }).map(([name, value]) => `${name}: ${value}`);
  return `${[`${method} ${path} HTTP/1.1`, ...headers].join("\r\n")}\r\n\r\n`;
}
