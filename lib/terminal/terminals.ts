import type { IncomingMessage } from "node:http";
import { WebSocketServer } from "ws";
import type { DockerHost } from "../docker/docker-host";
import { AppError } from "../errors";
import { UpgradeReply } from "../http/route";
import type { Logger } from "../support/logger";
import { ClientSocket } from "./client-socket";
import { Terminal, type TerminalSpec } from "./terminal";

const MAX_MESSAGE_BYTES = 1_048_576;

/** All terminals of this host. */
export class Terminals {
  private readonly sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: MAX_MESSAGE_BYTES });
  private readonly running = new Set<Promise<void>>();
  private readonly requestIds = new WeakMap<IncomingMessage, string>();

  constructor(
    private readonly docker: DockerHost,
    private readonly log: Logger,
  ) {
    this.sockets.on("headers", (headers, request) => headers.push(`X-Request-Id: ${this.requestIds.get(request)}`));
  }

  /**
   * Opens a terminal in a running container.
   * @param containerId the full id
   * @param request.id id of the upgrade request
   * @param request.stopSignal aborted when the server stops
   * @returns the reply that accepts the upgrade to a WebSocket
   * @throws AppError NOT_RUNNING, NOT_ALLOWED, CONTAINER_NOT_FOUND, ENGINE_UNREACHABLE
   */
  async open(containerId: string, spec: TerminalSpec, request: { id: string; stopSignal: AbortSignal }): Promise<UpgradeReply> {
    const { State } = await this.docker.engine.call((docker) => docker.getContainer(containerId).inspect());
    if (!State.Running || State.Paused || State.Restarting) throw new AppError("NOT_RUNNING");
    await this.docker.guard.checkEntry(containerId);
    return new UpgradeReply((connection) => {
      this.requestIds.set(connection.request, request.id);
      this.sockets.handleUpgrade(connection.request, connection.socket, connection.head, (socket) => {
        const client = new ClientSocket(socket, request.id, this.log);
        const ended = new Terminal(this.docker, containerId, client, spec, request.stopSignal).run();
        this.running.add(ended);
        void ended.finally(() => this.running.delete(ended));
      });
    });
  }

  /** Resolves when all terminals have ended. */
  async whenIdle(): Promise<void> {
    await Promise.all(this.running);
  }
}
