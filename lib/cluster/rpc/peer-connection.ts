import type { SecureContext } from "node:tls";
import WebSocket, { type ClientOptions } from "ws";
import { PeerFailure } from "./peer-failure";
import type { ReceiverStamp } from "./replay-guard";
import type { Signatures } from "./signatures";
import { SignedChannel } from "./signed-channel";

export const RPC_PATH = "/_node/link";
/** Of an answer: large enough for a list of some 100,000 containers. */
const MAX_ANSWER_BYTES = 64_000_000;
/** Of the peer's half of the session id, which every signature of the connection covers. */
const MAX_NONCE_LENGTH = 64;

interface PendingCall {
  resolve: (answer: unknown) => void;
  reject: (error: PeerFailure) => void;
  timer: NodeJS.Timeout;
}

export interface PeerConnectionDeps {
  /** the peer's name */
  peer: string;
  /** where the peer is reached */
  url: string;
  /** the signed header that lets this node in */
  signedHeader: { name: string; value: string };
  signatures: Signatures;
  /** for an https URL */
  tls: ClientOptions & { secureContext: SecureContext };
  /** called when the peer has closed an established connection: it is stopping, or has stopped */
  onPeerClose: () => void;
  /** called when an established connection has ended, for whatever reason */
  onClose: () => void;
  /** called with each answer's stamp; undefined for a peer of an earlier version */
  onStamp: (stamp: ReceiverStamp | undefined) => void;
}

/** A lasting connection to a peer for RPC calls: an HTTP request for each would cost more than answering most of them. */
export class PeerConnection {
  private channel: SignedChannel | undefined;
  private readonly pendingCalls = new Map<number, PendingCall>();
  /** Calls made before the connection was established. */
  private readonly unsent: string[] = [];
  private lastId = 0;
  private lastReceivedAt = 0;
  private closeReason = "it closed the connection";
  closed = false;
  /** The connection was established, and the peer has closed it. */
  closedByPeer = false;

  private constructor(
    private readonly peer: string,
    readonly url: string,
    private readonly socket: WebSocket,
    private readonly onStamp: PeerConnectionDeps["onStamp"],
  ) {}

  /** Begins to connect. Calls can be made at once. */
  static open({ peer, url, signedHeader, signatures, tls, onPeerClose, onClose, onStamp }: PeerConnectionDeps): PeerConnection {
    const { protocol, host } = new URL(url);
    const secure = protocol === "https:";
    const socket = new WebSocket(`${secure ? "wss" : "ws"}://${host}${RPC_PATH}`, {
      headers: { [signedHeader.name]: signedHeader.value },
      perMessageDeflate: false,
      maxPayload: MAX_ANSWER_BYTES,
      ...(secure ? tls : {}),
    });
    const connection = new PeerConnection(peer, url, socket, onStamp);
    // The first message is the peer's half of the session id.
    socket.once("message", (message) => {
      const nonce = String(message);
      if (nonce.length > MAX_NONCE_LENGTH) return connection.close("its greeting is too long");
      connection.establish(new SignedChannel(signatures, `${signedHeader.value} ${nonce}`, "asks"));
    });
    socket.on("unexpected-response", (_request, { statusCode }) =>
      connection.close(`another node or program answers at its address, with ${statusCode}: check its --advertise and --cluster_key`),
    );
    socket.on("error", (error: NodeJS.ErrnoException) => {
      connection.closeReason = error.code ?? error.message;
    });
    socket.on("close", () => {
      connection.closedByPeer = connection.channel !== undefined && !connection.closed;
      if (connection.closedByPeer) onPeerClose();
      connection.close(connection.closeReason);
      if (connection.channel !== undefined) onClose();
    });
    return connection;
  }

  private establish(channel: SignedChannel): void {
    this.channel = channel;
    this.lastReceivedAt = performance.now();
    for (const text of this.unsent.splice(0)) this.socket.send(channel.wrap(text));
    this.socket.on("message", (data) => this.receive(String(data)));
  }

  /**
   * @param timeoutMs for the answer to arrive
   * @returns the answer, unchecked
   * @throws PeerFailure
   */
  call(method: string, params: object, timeoutMs: number): Promise<unknown> {
    this.lastId += 1;
    const id = this.lastId;
    const text = JSON.stringify({ id, question: method, body: params });
    if (this.channel) this.socket.send(this.channel.wrap(text));
    else this.unsent.push(text);
    const calledAt = performance.now();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.pendingCalls.delete(id);
        reject(new PeerFailure(this.peer, `no answer in ${timeoutMs} ms`, true));
        // Nothing else arrived either: a new connection may work where this one's network path broke.
        if (this.lastReceivedAt < calledAt) this.close("no answer");
      }, timeoutMs);
      this.pendingCalls.set(id, { resolve, reject, timer });
    });
  }

  private receive(message: string): void {
    if (!this.channel || this.closed) return;
    try {
      const { id, answer, error, process, clock } = JSON.parse(this.channel.unwrap(message));
      this.lastReceivedAt = performance.now();
      this.onStamp(typeof process === "string" && typeof clock === "number" ? { process, clock } : undefined);
      const pending = this.pendingCalls.get(id);
      this.pendingCalls.delete(id);
      clearTimeout(pending?.timer);
      if (error === undefined) pending?.resolve(answer);
      else pending?.reject(new PeerFailure(this.peer, error, true, true));
    } catch (error) {
      this.close((error as Error).message);
    }
  }

  /** Closes the connection; pending calls fail with this reason. */
  close(reason: string): void {
    this.closed = true;
    this.socket.terminate();
    for (const { reject, timer } of this.pendingCalls.values()) {
      clearTimeout(timer);
      reject(new PeerFailure(this.peer, reason, true));
    }
    this.pendingCalls.clear();
  }
}
