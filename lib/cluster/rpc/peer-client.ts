import http, { type ClientRequest, type IncomingMessage, type OutgoingHttpHeaders } from "node:http";
import https from "node:https";
import { isIP } from "node:net";
import type { Readable } from "node:stream";
import type { SecureContext } from "node:tls";
import { urlToHttpOptions } from "node:url";
import { drainBody } from "../../support/drain-body";
import { onPrematureClose } from "../../support/premature-close";
import type { Peer } from "../membership/peer";
import type { RpcMethod, RpcParams, RpcResults } from "./methods";
import { LINK_PATH, PeerConnection } from "./peer-connection";
import { PeerFailure } from "./peer-failure";
import { digestOf, PEER_HEADER, type Signatures } from "./signatures";

export interface PeerTls {
  /** the roots to trust */
  secureContext: SecureContext;
  /** the name that peers' certificates must have */
  servername?: string | undefined;
}

export interface PeerCall {
  method: string;
  /** path and query */
  url: string;
  headers?: OutgoingHttpHeaders;
  body?: Buffer | Readable | undefined;
  /** identity of the client behind it */
  caller: string;
  /** ms for the answer's headers to arrive */
  timeout?: number;
  /** ms that the client still waits */
  left: number;
  signal?: AbortSignal | undefined;
}

/** Speaks to other nodes: asks them over links, and sends clients' requests on. */
export class PeerClient {
  private readonly agents;
  private readonly links = new Map<string, PeerConnection>();

  /** @param self this node's name */
  constructor(
    private readonly self: string,
    private readonly signatures: Signatures,
    private readonly tls: () => PeerTls,
  ) {
    const kept = { keepAlive: true, maxFreeSockets: 64, timeout: 30_000 };
    this.agents = { "http:": new http.Agent(kept), "https:": new https.Agent(kept) };
  }

  /**
   * Sends a request, marked and signed, and hands back the answer as it begins; of a 101, `socket` is the connection.
   * @throws PeerFailure if none comes
   */
  send(peer: Peer, call: PeerCall): Promise<IncomingMessage> {
    const target = new URL(peer.record.url);
    const secure = target.protocol === "https:";
    const to = peer.name;
    const { method, url, caller, left } = call;
    const digest = Buffer.isBuffer(call.body) ? digestOf(call.body) : undefined;
    const seal = this.signatures.signRequest({ from: this.self, to, method, url, caller, left, digest });
    const options = {
      ...urlToHttpOptions(target),
      // As the client wrote it: what is sent is what is signed, and `//other.host/` is a path too.
      path: call.url,
      method: call.method,
      headers: { ...call.headers, [PEER_HEADER]: seal },
      agent: this.agents[target.protocol as "http:" | "https:"],
      ...(call.signal ? { signal: call.signal } : {}),
      ...(secure ? this.tls() : {}),
    };
    return new Promise((resolve, reject) => {
      const request = (secure ? https : http).request(options);
      let sent = false;
      const timer =
        call.timeout === undefined
          ? undefined
          : setTimeout(() => request.destroy(new Error(`no answer in ${call.timeout} ms`)), call.timeout);
      request.once("socket", (socket) => {
        if (!socket.connecting) sent = true;
        else
          socket.once(secure ? "secureConnect" : "connect", () => {
            sent = true;
          });
      });
      request.once("response", (response) => {
        clearTimeout(timer);
        resolve(response);
      });
      request.once("upgrade", (response, socket, head) => {
        clearTimeout(timer);
        socket.on("error", () => socket.destroy()).setTimeout(0);
        if (head.length > 0) socket.unshift(head);
        resolve(response);
      });
      request.on("error", (error: NodeJS.ErrnoException) => {
        clearTimeout(timer);
        reject(new PeerFailure(to, error.code ?? error.message, sent, call.signal?.aborted));
      });
      if (call.body === undefined || Buffer.isBuffer(call.body)) request.end(call.body);
      else sendStream(call.body, request);
    });
  }

  /** What lets a request of this node in at another, if it is sent by other means than `send`. */
  signRequest(to: string, request: Pick<PeerCall, "method" | "url" | "caller" | "left">): string {
    return this.signatures.signRequest({ from: this.self, to, ...request });
  }

  /** How a connection to a peer is made. */
  connectOptions({ record: { url } }: Peer): { host: string; port: number } | ({ host: string; port: number; secure: true } & PeerTls) {
    const { protocol, hostname, port } = new URL(url);
    const secure = protocol === "https:";
    const host = hostname.replace(/^\[|\]$/g, "");
    const at = { host, port: Number(port || (secure ? 443 : 80)) };
    if (!secure) return at;
    return { ...at, secure: true, ...(isIP(host) ? {} : { servername: host }), ...this.tls() };
  }

  /**
   * Asks a question over the lasting link to the peer.
   * @param timeout ms for the answer to come
   * @throws PeerFailure
   */
  async call<Q extends RpcMethod>(peer: Peer, question: Q, body: RpcParams<Q>, timeout: number): Promise<RpcResults[Q]> {
    const link = this.linkTo(peer);
    try {
      return await link.call<RpcResults[Q]>(question, body, timeout);
    } catch (error) {
      // A node that is reloaded closes its links; its next process is there already. What is asked may be asked twice.
      if (!link.closed) throw error;
      return this.linkTo(peer).call<RpcResults[Q]>(question, body, timeout);
    }
  }

  private linkTo({ name, record: { url } }: Peer): PeerConnection {
    const before = this.links.get(name);
    if (before && !before.over && before.url === url) return before;
    before?.end("it is reached elsewhere now");
    const value = this.signatures.signRequest({ from: this.self, to: name, method: "GET", url: LINK_PATH, caller: "", left: 0 });
    const link = new PeerConnection(name, url, { header: PEER_HEADER, value }, this.signatures, this.tls(), () => this.leaveIdle(url));
    this.links.set(name, link);
    return link;
  }

  /** A node that stops closes its idle connections next: a request must not be just on its way in one. */
  private leaveIdle(url: string): void {
    const { hostname, port, protocol } = new URL(url);
    const { freeSockets } = this.agents[protocol as "http:" | "https:"];
    const name = `${hostname.replace(/^\[|\]$/g, "")}:${port || (protocol === "https:" ? 443 : 80)}:`;
    for (const [key, sockets = []] of Object.entries(freeSockets)) {
      if (key.startsWith(name)) for (const socket of [...sockets]) socket.destroy();
    }
  }

  close(): void {
    for (const link of this.links.values()) link.end("this node stops");
    for (const agent of Object.values(this.agents)) agent.destroy();
  }
}

/** A body outlives the request that it goes out with: whoever sent it is still to be answered. */
function sendStream(body: Readable, request: ClientRequest): void {
  body.pipe(request);
  onPrematureClose(body, () => request.destroy());
  request.once("close", () => {
    if (body.readableEnded) return;
    body.unpipe(request);
    drainBody(body);
  });
}
