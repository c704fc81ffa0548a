import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import type { Logger } from "../../support/logger";
import type { RpcHandler } from "./methods";
import { RPC_PATH } from "./peer-connection";
import type { ReplayGuard } from "./replay-guard";
import { PEER_HEADER, type Signatures } from "./signatures";
import { SignedChannel } from "./signed-channel";

/** A message is in memory before its signature can be checked. The largest call is a bid that has most of a request's body. */
const MAX_CALL_BYTES = 16_000_000;
/**
 * A node connects to make a call. Its header may be a recorded one, which a restarted process can't tell: then no valid call follows,
 * since each is signed with what this server has sent.
 */
const FIRST_CALL_TIMEOUT_MS = 60_000;

/** Accepts the RPC connections of other nodes and answers their calls. */
export class RpcServer {
  private readonly sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: MAX_CALL_BYTES });
  private closed = false;

  /**
   * @param nodeName this node's
   * @param replayGuard stamps the answers
   */
  constructor(
    private readonly nodeName: string,
    private readonly signatures: Signatures,
    private readonly handler: RpcHandler,
    private readonly log: Logger,
    private readonly replayGuard: Pick<ReplayGuard, "stamp">,
  ) {}

  accepts({ url }: IncomingMessage): boolean {
    return url === RPC_PATH;
  }

  /** Makes an upgrade an RPC connection, or refuses it if it is not signed by another node. */
  take(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (this.closed) return void socket.destroy();
    const header = request.headers[PEER_HEADER];
    const expected = { method: "GET", url: RPC_PATH, to: this.nodeName };
    const verified = typeof header === "string" ? this.signatures.verifyRequest(header, expected) : undefined;
    if (verified) this.sockets.handleUpgrade(request, socket, head, (client) => this.serve(client, verified.from, header as string));
    else socket.end("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  }

  private serve(client: WebSocket, peer: string, signedHeader: string): void {
    const nonce = randomBytes(12).toString("base64url");
    const channel = new SignedChannel(this.signatures, `${signedHeader} ${nonce}`, "answers");
    const firstCallTimer = setTimeout(() => client.terminate(), FIRST_CALL_TIMEOUT_MS).unref();
    client.once("close", () => clearTimeout(firstCallTimer));
    client.on("error", (error) => this.log.debug("RPC connection failed", { peer, reason: error.message }));
    client.on("message", (data) => {
      try {
        const { id, question, body } = JSON.parse(channel.unwrap(String(data)));
        clearTimeout(firstCallTimer);
        const respond = (outcome: { answer: object } | { error: string }) => {
          if (client.readyState === client.OPEN) client.send(channel.wrap(JSON.stringify({ id, ...outcome, ...this.replayGuard.stamp() })));
        };
        this.handler(question, body, peer).then(
          (answer) => respond({ answer }),
          (error: Error) => respond({ error: error.message }),
        );
      } catch (error) {
        this.log.warn("RPC connection closed after an invalid message", { peer, reason: (error as Error).message });
        client.terminate();
      }
    });
    client.send(nonce);
  }

  /** Closes all connections and accepts no more. */
  close(): void {
    this.closed = true;
    for (const client of this.sockets.clients) client.terminate();
  }
}
