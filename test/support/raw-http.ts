import net from "node:net";
import { until } from "../../scripts/process";
import type { TestServer } from "./server";

/** A connection over which bytes are sent as they are. */
export interface RawConnection {
  send(bytes: string | Buffer): void;
  /** All that has come so far. */
  received(): string;
  /** Waits until what came matches, and hands it back; throws an Error with it if it doesn't within 20 s. */
  receives(pattern: RegExp): Promise<string>;
  closed(): boolean;
  end(): void;
}

/** Connects to a server, of loopback unless told otherwise. */
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
