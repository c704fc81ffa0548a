import type { IncomingMessage } from "node:http";
import { WebSocketServer } from "ws";
import type { DockerHost } from "../docker/docker-host";
import { AppError } from "../errors";
import { UpgradeReply } from "../http/route";
import type { Logger } from "../support/logger";
import { Terminal, type TerminalSpec } from "./terminal";
import { TerminalClient } from "./terminal-client";

/** bytes of a client's frame */
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
   * A terminal in a running container, as the answer to whoever offers an upgrade.
   * @param container full id
   * @param request its id, and what is aborted when the server stops
   * @throws AppError NOT_RUNNING, CONTAINER_NOT_FOUND, ENGINE_UNREACHABLE
   */
  async open(container: string, spec: TerminalSpec, request: { id: string; stop: AbortSignal }): Promise<UpgradeReply> {
    const { State } = await this.docker.engine.call((docker, abortSignal) => docker.getContainer(container).inspect({ abortSignal }));
    if (!State.Running || State.Paused || State.Restarting) throw new AppError("NOT_RUNNING");
    return new UpgradeReply((connection) => {
      this.requestIds.set(connection.request, request.id);
      this.sockets.handleUpgrade(connection.request, connection.socket, connection.head, (socket) => {
        const client = new TerminalClient(socket, request.id, this.log);
        const over = new Terminal(this.docker, container, client, spec, request.stop).run();
        this.running.add(over);
        void over.finally(() => this.running.delete(over));
      });
    });
  }

  /** Resolves when nothing runs of those there are. */
  async idle(): Promise<void> {
    await Promise.all(this.running);
  }
}
