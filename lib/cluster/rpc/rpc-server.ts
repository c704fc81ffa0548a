import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import type { Logger } from "../../support/logger";
import type { RpcHandler } from "./methods";
import { LARGEST_MESSAGE, LINK_PATH } from "./peer-connection";
import { PEER_HEADER, type Signatures } from "./signatures";
import { SignedChannel } from "./signed-channel";

/** Takes in other nodes' links and answers what they ask over them. */
export class RpcServer {
  private readonly sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: LARGEST_MESSAGE });

  private closed = false;

  /** @param self this node's name */
  constructor(
    private readonly self: string,
    private readonly signatures: Signatures,
    private readonly answerer: RpcHandler,
    private readonly log: Logger,
  ) {}

  /**
   * Takes an upgrade if it is for a link; whoever may not have one is refused.
   * @returns false if it is for something else
   */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    if (request.url !== LINK_PATH) return false;
    if (this.closed) {
      socket.destroy();
      return true;
    }
    const seal = request.headers[PEER_HEADER];
    const meant = { method: "GET", url: LINK_PATH, to: this.self };
    const opened = typeof seal === "string" ? this.signatures.verifyRequest(seal, meant) : undefined;
    if (opened) this.sockets.handleUpgrade(request, socket, head, (link) => this.serve(link, opened.from, seal as string));
    else socket.end("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    return true;
  }

  private serve(link: WebSocket, from: string, seal: string): void {
    const nonce = randomBytes(12).toString("base64url");
    const channel = new SignedChannel(this.signatures, `${seal} ${nonce}`, "answers");
    link.on("error", (error) => this.log.debug("a node's link broke", { node: from, reason: error.message }));
    link.on("message", (data) => {
      try {
        const { id, question, body } = JSON.parse(channel.unwrap(String(data)));
        const say = (said: object) => {
          if (link.readyState === link.OPEN) link.send(channel.wrap(JSON.stringify({ id, ...said })));
        };
        this.answerer(question, body, from).then(
          (answer) => say({ answer }),
          (error: Error) => say({ error: error.message }),
        );
      } catch (error) {
        this.log.warn("a node's link is cut", { node: from, reason: (error as Error).message });
        link.terminate();
      }
    });
    link.send(nonce);
  }

  /** Cuts all links, and lets no more in. */
  close(): void {
    this.closed = true;
    for (const link of this.sockets.clients) link.terminate();
  }
}
