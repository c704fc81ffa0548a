import { readFileSync } from "node:fs";
import http from "node:http";
import type { TestNode } from "./cluster";
import { TOKEN } from "./server";

/** A streamed response. */
export interface LogStream {
  status: number;
  headers: http.IncomingHttpHeaders;
  /** Everything received so far. */
  text(): string;
  /** open, ended completely, or cut off before its end */
  state(): "open" | "ended" | "cut";
  /** Closes the connection. */
  abort(): void;
}

/**
 * Follows the log of a container through a node, over a new connection; resolves when the response begins.
 * @param options.query instead of `follow=true`
 * @param options.each called for every chunk
 */
export function followLogs(node: TestNode, container: string, options: { query?: string; each?: () => void } = {}): Promise<LogStream> {
  const headers = { Authorization: `Bearer ${TOKEN}`, Accept: "text/plain" };
  return new Promise((resolve, reject) => {
    const url = `${node.server.url}/${container}?${options.query ?? "follow=true"}`;
    const request = http.get(url, { headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      let state: "open" | "ended" | "cut" = "open";
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        options.each?.();
      });
      response.on("error", () => undefined);
      response.on("close", () => {
        state = response.complete ? "ended" : "cut";
      });
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        text: () => Buffer.concat(chunks).toString(),
        state: () => state,
        abort: () => void request.destroy(),
      });
    });
    request.on("error", reject);
  });
}

/** The number of connections that a node has open to its engine, read from its network namespace's /proc/net/unix. */
export function openEngineConnectionsOf({ engine }: TestNode): number {
  const CONNECTED = "03";
  const rows = readFileSync(`/proc/${engine.pid}/net/unix`, "utf8").split("\n");
  return rows.map((row) => row.trim().split(/\s+/)).filter((row) => row[7] === engine.socket && row[5] === CONNECTED).length;
}
