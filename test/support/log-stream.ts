import { readFileSync } from "node:fs";
import http from "node:http";
import type { TestNode } from "./cluster";
import { TOKEN } from "./server";

/** An answer that comes bit by bit. */
export interface LogStream {
  status: number;
  headers: http.IncomingHttpHeaders;
  /** All that has come so far. */
  text(): string;
  /** open; ended as it should; or cut off in the middle */
  state(): "open" | "ended" | "cut";
  /** Breaks the connection off. */
  abort(): void;
}

/**
 * Follows the log of a container through a node, over a connection of its own; resolves when the answer begins.
 * @param options.query instead of `follow=true`
 * @param options.each called with every piece that comes
 */
export function followLogs(node: TestNode, container: string, options: { query?: string; each?: () => void } = {}): Promise<LogStream> {
  const headers = { Authorization: `Bearer ${TOKEN}`, Accept: "text/plain" };
  return new Promise((resolve, reject) => {
    const url = `${node.server.url}/${container}?${options.query ?? "follow=true"}`;
    const request = http.get(url, { headers, agent: false }, (response) => {
      const pieces: Buffer[] = [];
      let state: "open" | "ended" | "cut" = "open";
      response.on("data", (piece: Buffer) => {
        pieces.push(piece);
        options.each?.();
      });
      response.on("error", () => undefined);
      response.on("close", () => {
        state = response.complete ? "ended" : "cut";
      });
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        text: () => Buffer.concat(pieces).toString(),
        state: () => state,
        abort: () => void request.destroy(),
      });
    });
    request.on("error", reject);
  });
}

/** Connections that a node has open at its engine at the moment: the kernel lists them by network namespace. */
export function openEngineConnectionsOf({ engine }: TestNode): number {
  const CONNECTED = "03";
  const rows = readFileSync(`/proc/${engine.pid}/net/unix`, "utf8").split("\n");
  return rows.map((row) => row.trim().split(/\s+/)).filter((row) => row[7] === engine.socket && row[5] === CONNECTED).length;
}
