import http from "node:http";
import path from "node:path";
import type { Engine } from "./engine";

/** A relay in front of an engine that can break off all connections at a chosen request, as an engine's end does. */
export interface CutEngine {
  /** As `Engine.dockerHost`. */
  dockerHost: string;
  /**
   * Breaks off every connection, and refuses new ones, when a container has been created and then as many requests have come.
   * @param requests from 1 on, without pings: that one is not passed on; 0: the answer to the create is not
   */
  cutAfterCreate(requests: number): void;
  /** Passes everything on again; the cut that was to come doesn't any more. Tells whether it had come. */
  mend(): boolean;
  stop(): Promise<void>;
}

/** Starts a relay in the engine's folder. */
export async function startCutEngine(engine: Engine): Promise<CutEngine> {
  const socketPath = path.join(engine.folder, "cut.sock");
  /** Requests that are still passed on; undefined: all. It counts from the create on. */
  let remaining: number | undefined;
  let created = false;
  let cut = false;
  const server = http.createServer((request, response) => {
    // How many pings there are depends on how slow the machine is.
    if (created && remaining !== undefined && request.url !== "/_ping") {
      remaining -= 1;
      if (remaining <= 0) cut = true;
    }
    if (cut) return server.closeAllConnections();
    const { method, url, headers } = request;
    const upstream = http.request({ socketPath: engine.socket, method, path: url, headers, agent: false }, (answer) => {
      if (method === "POST" && /\/containers\/create/.test(url ?? "") && answer.statusCode === 201) {
        created = true;
        if (remaining === 0) cut = true;
      }
      if (cut) return server.closeAllConnections();
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      response.flushHeaders();
      answer.on("error", () => response.destroy()).pipe(response);
    });
    upstream.on("error", () => response.destroy());
    response.on("close", () => upstream.destroy());
    request.pipe(upstream);
  });
  server.on("connection", (socket) => {
    if (cut) socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  return {
    dockerHost: `unix://${socketPath}`,
    cutAfterCreate(requests) {
      created = false;
      remaining = requests;
    },
    mend() {
      const had = cut;
      cut = false;
      remaining = undefined;
      return had;
    },
    stop() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
