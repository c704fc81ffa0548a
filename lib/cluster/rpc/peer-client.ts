import http, { type ClientRequest, type IncomingMessage, type OutgoingHttpHeaders } from "node:http";
import https from "node:https";
import { isIP } from "node:net";
import type { Readable } from "node:stream";
import type { SecureContext } from "node:tls";
import { urlToHttpOptions } from "node:url";
import type { Access } from "../../access/access";
import { drainBody } from "../../support/drain-body";
import { measure } from "../../support/measure";
import { onPrematureClose } from "../../support/premature-close";
import { fromUrlHost } from "../../support/url-host";
import type { Peer } from "../membership/peer";
import { checkResult, type RpcMethod, type RpcParams, type RpcResult } from "./methods";
import { PeerConnection, RPC_PATH } from "./peer-connection";
import { PeerFailure } from "./peer-failure";
import { digestOf, PEER_HEADER, type Signatures } from "./signatures";

export interface PeerTls {
  /** holds the trusted root certificates */
  secureContext: SecureContext;
  /** the name that peers' certificates must carry */
  servername?: string | undefined;
}

export interface PeerCall {
  method: string;
  /** path and query */
  url: string;
  headers?: OutgoingHttpHeaders;
  body?: Buffer | Readable | undefined;
  /** identity of the client that the request is made for */
  caller: string;
  /** what that client may do: its caveats are sent along */
  access: Access;
  /** for the response's headers to arrive */
  timeoutMs?: number;
  /** ms that this node gives the request; the receiving node counts them from when its handler first reads `callerSignal` */
  remainingMs: number;
  signal?: AbortSignal | undefined;
}

/**
 * A request with a narrow token goes only to a node whose record says that it enforces all of the token's caveats.
 * @throws PeerFailure
 */
export function assertEnforces({ name, record: { enforces = [] } }: Peer, access: Access): void {
  const missing = access.caveatNames.filter((caveat) => !enforces.includes(caveat));
  if (missing.length > 0) throw new PeerFailure(name, `its version does not enforce ${missing.join(", ")} of the token`, false, true);
}

/** Sends RPC calls to other nodes over lasting connections, and forwards clients' requests to them over HTTP. */
export class PeerClient {
  private readonly agents;
  private readonly connections = new Map<string, PeerConnection>();
  /** By peer: what its last answer told, undefined for a peer of an earlier version. `offset` is its clock minus `performance.now()`. */
  private readonly receivers = new Map<string, { process: string; offset: number } | undefined>();

  /**
   * @param nodeName this node's
   * @param tls read for each connection: certificates are renewed
   * @param onDisconnect called when a connection to a peer has ended: what the peer promised over it is void
   */
  constructor(
    private readonly nodeName: string,
    private readonly signatures: Signatures,
    private readonly tls: () => PeerTls,
    private readonly onDisconnect: () => void = () => undefined,
  ) {
    const agentOptions = { keepAlive: true, maxFreeSockets: 64, timeout: 30_000 };
    this.agents = { "http:": new http.Agent(agentOptions), "https:": new https.Agent(agentOptions) };
  }

  /**
   * Sends a signed request.
   * @returns the response once its headers have arrived; after a 101 its `socket` is the connection
   * @throws PeerFailure if none arrives
   */
  async send(peer: Peer, call: PeerCall): Promise<IncomingMessage> {
    const target = new URL(peer.record.url);
    const secure = target.protocol === "https:";
    const to = peer.name;
    const { method, url, caller, access, remainingMs } = call;
    assertEnforces(peer, access);
    const digest = Buffer.isBuffer(call.body) ? digestOf(call.body) : undefined;
    const signedHeader = this.signRequest(to, { method, url, caller, access, remainingMs }, digest);
    const options = {
      ...urlToHttpOptions(target),
      // Exactly as the client wrote it, because this is what is signed; through URL a path like `//other.host/` would become a host.
      path: call.url,
      method: call.method,
      headers: { ...call.headers, [PEER_HEADER]: signedHeader },
      agent: this.agents[target.protocol as "http:" | "https:"],
      ...(call.signal ? { signal: call.signal } : {}),
      ...(secure ? this.tls() : {}),
    };
    return new Promise((resolve, reject) => {
      const request = (secure ? https : http).request(options);
      let sent = false;
      const timer =
        call.timeoutMs === undefined
          ? undefined
          : setTimeout(() => request.destroy(new Error(`no answer in ${call.timeoutMs} ms`)), call.timeoutMs);
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

  /**
   * Makes the signed header for a request that is sent by other means than `send`. The peer accepts it once, in its present process.
   * @param digest of a body that is sent whole
   */
  signRequest(to: string, call: Pick<PeerCall, "method" | "url" | "caller" | "access" | "remainingMs">, digest?: string): string {
    const { method, url, caller, access, remainingMs } = call;
    const receiver = this.receivers.get(to);
    const stamp = receiver && { process: receiver.process, at: performance.now() + receiver.offset };
    const claim = { from: this.nodeName, to, method, url, caller, token: access.claim, left: remainingMs, digest, ...stamp };
    return this.signatures.signRequest(claim);
  }

  /** Whether the connection stands over which the peer told its process and clock: without it, requests may be signed for a past process. */
  knowsReceiver({ name }: Peer): boolean {
    return this.receivers.has(name) && this.connections.get(name)?.closed === false;
  }

  /** Where to connect to reach a peer, and with which TLS options. */
  connectOptions({ record: { url } }: Peer): { host: string; port: number } | ({ host: string; port: number; secure: true } & PeerTls) {
    const { protocol, hostname, port } = new URL(url);
    const secure = protocol === "https:";
    const host = fromUrlHost(hostname);
    const address = { host, port: Number(port || (secure ? 443 : 80)) };
    if (!secure) return address;
    return { ...address, secure: true, ...(isIP(host) ? {} : { servername: host }), ...this.tls() };
  }

  /**
   * Calls a method of a peer.
   * @param timeoutMs for the answer to arrive
   * @throws PeerFailure if there is no answer, or an error, or an invalid one
   */
  call<M extends RpcMethod>(peer: Peer, method: M, params: RpcParams<M>, timeoutMs: number): Promise<RpcResult<M>> {
    return measure("peer", peer.name, () => this.callUnmeasured(peer, method, params, timeoutMs));
  }

  private async callUnmeasured<M extends RpcMethod>(peer: Peer, method: M, params: RpcParams<M>, timeoutMs: number): Promise<RpcResult<M>> {
    const connection = this.connectionTo(peer);
    const answer = await connection.call(method, params, timeoutMs).catch((error: unknown) => {
      // A node that is reloaded closes its connections, and its next process listens already. Every call may be made twice.
      if (!connection.closedByPeer) throw error;
      return this.connectionTo(peer).call(method, params, timeoutMs);
    });
    return checkResult(peer.name, method, answer);
  }

  private connectionTo({ name: peer, record: { url } }: Peer): PeerConnection {
    const existing = this.connections.get(peer);
    if (existing && !existing.closed && existing.url === url) return existing;
    existing?.close("it is reached elsewhere now");
    // Without a time: a replayed handshake gives nothing, because each side signs with a random part of the other.
    const claim = { from: this.nodeName, to: peer, method: "GET", url: RPC_PATH, caller: "", left: 0 };
    const connection = PeerConnection.open({
      peer,
      url,
      signedHeader: { name: PEER_HEADER, value: this.signatures.signRequest(claim) },
      signatures: this.signatures,
      tls: this.tls(),
      onPeerClose: () => this.closeIdleSockets(url),
      onClose: this.onDisconnect,
      onStamp: (stamp) => this.receivers.set(peer, stamp && { process: stamp.process, offset: stamp.clock - performance.now() }),
    });
    this.connections.set(peer, connection);
    return connection;
  }

  /** A stopping node closes its idle HTTP connections next, and a request sent on one of them at that moment would fail. */
  private closeIdleSockets(url: string): void {
    const { hostname, port, protocol } = new URL(url);
    const { freeSockets } = this.agents[protocol as "http:" | "https:"];
    const name = `${fromUrlHost(hostname)}:${port || (protocol === "https:" ? 443 : 80)}:`;
    for (const [key, sockets = []] of Object.entries(freeSockets)) {
      if (key.startsWith(name)) for (const socket of [...sockets]) socket.destroy();
    }
  }

  close(): void {
    for (const connection of this.connections.values()) connection.close("this node stops");
    for (const agent of Object.values(this.agents)) agent.destroy();
  }
}

/** Streams a body. It stays open, and is drained, when the request closes early: its client still needs a response. */
function sendStream(body: Readable, request: ClientRequest): void {
  body.pipe(request);
  onPrematureClose(body, () => request.destroy());
  request.once("close", () => {
    if (body.readableEnded) return;
    body.unpipe(request);
    drainBody(body);
  });
}
