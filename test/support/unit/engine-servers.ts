import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import http, { type RequestListener } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Endpoint } from "../../../lib/docker/endpoint";
import { Engine } from "../../../lib/docker/engine";

/** HTTP servers on sockets that stand for engines. */
export class EngineServers {
  private readonly servers: { server: http.Server; folder: string }[] = [];

  /**
   * Starts one that answers pings.
   * @param take handles all other requests
   * @param times the client's timeouts, ms
   * @returns a client of it
   */
  async start(
    take: RequestListener,
    times: { read: number; write: number },
  ): Promise<{ engine: Engine; endpoint: Endpoint; server: http.Server }> {
    const folder = mkdtempSync(path.join(tmpdir(), "docker-server-engine-"));
    const socket = path.join(folder, "socket");
    const server = http.createServer((request, response) =>
      request.url?.startsWith("/_ping") ? void response.end("OK") : take(request, response),
    );
    this.servers.push({ server, folder });
    await once(server.listen(socket), "listening");
    const endpoint = { url: `unix://${socket}`, env: {}, socket, options: { socketPath: socket } };
    return { engine: new Engine(endpoint, times.read, times.write), endpoint, server };
  }

  /** Stops all of them. */
  stop(): void {
    for (const { server, folder } of this.servers.splice(0)) {
      server.close().closeAllConnections();
      rmSync(folder, { recursive: true, force: true });
    }
  }
}
