import type { SecureContext } from "node:tls";
import WebSocket, { type ClientOptions } from "ws";
import { PeerFailure } from "./peer-failure";
import type { Signatures } from "./signatures";
import { SignedChannel } from "./signed-channel";

export const LINK_PATH = "/_node/link";
/** bytes: a list of some 100,000 containers */
export const LARGEST_MESSAGE = 64_000_000;

interface Waiting {
  resolve: (answer: never) => void;
  reject: (error: PeerFailure) => void;
  timer: NodeJS.Timeout;
}

/** A lasting connection to a peer, for questions: a request of its own for each would cost more than most answers do. */
export class PeerConnection {
  private readonly socket: WebSocket;
  private channel: SignedChannel | undefined;
  private readonly waiting = new Map<number, Waiting>();
  /** Asked before the link was there. */
  private readonly unsent: string[] = [];
  private asked = 0;
  private heardAt = 0;
  private why = "it closed the connection";
  over = false;
  /** It was there, and the other end has closed it. */
  closed = false;

  /**
   * @param peer its name
   * @param url where it is reached
   * @param seal what lets this node in
   * @param tls for an https URL
   * @param left called when the other end has closed it: it stops, or has
   */
  constructor(
    private readonly peer: string,
    readonly url: string,
    seal: { header: string; value: string },
    signatures: Signatures,
    tls: ClientOptions & { secureContext: SecureContext },
    left: () => void,
  ) {
    const { protocol, host } = new URL(url);
    const secure = protocol === "https:";
    this.socket = new WebSocket(`${secure ? "wss" : "ws"}://${host}${LINK_PATH}`, {
      headers: { [seal.header]: seal.value },
      perMessageDeflate: false,
      maxPayload: LARGEST_MESSAGE,
      ...(secure ? tls : {}),
    });
    this.socket.once("message", (nonce) => {
      this.channel = new SignedChannel(signatures, `${seal.value} ${nonce}`, "asks");
      this.heardAt = performance.now();
      for (const text of this.unsent.splice(0)) this.socket.send(this.channel.wrap(text));
      this.socket.on("message", (data) => this.take(String(data)));
    });
    this.socket.on("error", (error: NodeJS.ErrnoException) => {
      this.why = error.code ?? error.message;
    });
    this.socket.on("close", () => {
      this.closed = this.channel !== undefined && !this.over;
      if (this.closed) left();
      this.end(this.why);
    });
  }

  /**
   * @param timeout ms for the answer to come
   * @throws PeerFailure
   */
  call<T>(question: string, body: object, timeout: number): Promise<T> {
    const id = ++this.asked;
    const text = JSON.stringify({ id, question, body });
    if (this.channel) this.socket.send(this.channel.wrap(text));
    else this.unsent.push(text);
    const askedAt = performance.now();
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.delete(id);
        reject(new PeerFailure(this.peer, `no answer in ${timeout} ms`, true));
        // Nothing else came either: a new connection may do better than one whose network was away.
        if (this.heardAt < askedAt) this.end("no answer");
      }, timeout);
      this.waiting.set(id, { resolve, reject, timer });
    });
  }

  private take(message: string): void {
    if (!this.channel || this.over) return;
    try {
      const { id, answer, error } = JSON.parse(this.channel.unwrap(message));
      this.heardAt = performance.now();
      const asker = this.waiting.get(id);
      this.waiting.delete(id);
      clearTimeout(asker?.timer);
      if (error === undefined) asker?.resolve(answer as never);
      else asker?.reject(new PeerFailure(this.peer, error, true, true));
    } catch (error) {
      this.end((error as Error).message);
    }
  }

  /** Gives up the connection, and with it what is still waited for. */
  end(reason: string): void {
    this.over = true;
    this.socket.terminate();
    for (const { reject, timer } of this.waiting.values()) {
      clearTimeout(timer);
      reject(new PeerFailure(this.peer, reason, true));
    }
    this.waiting.clear();
  }
}
