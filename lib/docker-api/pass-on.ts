import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Peer } from "../cluster/membership/peer";
import { learnReceiver, type Pool } from "../cluster/pool";
import { MAX_MISSED_PINGS, watchPeer } from "../cluster/routing/frozen-peer";
import { assertEnforces } from "../cluster/rpc/peer-client";
import { PeerFailure } from "../cluster/rpc/peer-failure";
import { digestOf } from "../cluster/rpc/signatures";
import type { RawEngine } from "../docker/raw-engine";
import { AppError } from "../errors";
import { ConnectionPool, type UpstreamEndpoint } from "../proxy/connection-pool";
import { formatHead, headerValues, type RawHeaders, type ResponseHead } from "../proxy/http1/message-head";
import { Relay, RelayFailure, type WatchUpstream } from "../proxy/relay";
import { endToEndHeaders } from "../proxy/response-headers";
import { clientOf, type DockerCall, headOf, type Outgoing, peerHeaders } from "./call";
import { joinStreams, takeConnection } from "./hijack";

/** Node's longest timer: events, waits and builds take as long as they take, while the engine answers pings. */
export const NO_TIMEOUT_MS = 2 ** 31 - 1;
const IDLE_TIMEOUT_MS = 30_000;
const SAFE_METHODS = new Set(["GET", "HEAD"]);

interface Upstream {
  endpoint: UpstreamEndpoint;
  host: string;
  more: RawHeaders;
  watch: WatchUpstream;
  failure(cause: RelayFailure): AppError;
  /** Called before the client gets the head of the response. */
  onHead(): void;
}

/** Passes requests on to this node's engine or to another node, and the responses back, as bytes. */
export class PassOn {
  private readonly connections = new ConnectionPool();

  constructor(
    private readonly engine: RawEngine,
    private readonly pool: Pool | undefined,
    private readonly onContainersChanged: () => void,
  ) {}

  /**
   * Passes a request on to this node's engine.
   * @throws AppError ENGINE_UNREACHABLE, ENGINE_ERROR
   */
  toEngine(call: DockerCall, out: Outgoing): Promise<void> {
    return this.send(call, out, {
      endpoint: { poolKey: "engine", idleTimeoutMs: IDLE_TIMEOUT_MS, connectOptions: this.engine.connectOptions() },
      host: "docker",
      more: [],
      watch: (_started, onDead) => this.engine.watch(onDead),
      failure: (cause) => new AppError("ENGINE_UNREACHABLE", { cause }),
      onHead: () => {
        if (call.row.changes) this.onContainersChanged();
      },
    });
  }

  /**
   * Passes a request on to another node.
   * @throws AppError NODE_FAILED
   */
  async toPeer(call: DockerCall, peer: Peer, out: Outgoing): Promise<void> {
    const pool = this.pool as Pool;
    const { caller, access } = clientOf(call);
    assertEnforces(peer, access);
    await learnReceiver(pool, peer);
    const { method, target: url, body } = out;
    const digest = body && body.length > 0 ? digestOf(body) : undefined;
    const signed = pool.client.signRequest(peer.name, { method, url, caller, access, remainingMs: NO_TIMEOUT_MS }, digest);
    const endpoint = {
      poolKey: `node ${peer.name} ${peer.record.url}`,
      idleTimeoutMs: IDLE_TIMEOUT_MS,
      connectOptions: pool.client.connectOptions(peer),
    };
    return this.send(call, out, {
      endpoint,
      host: new URL(peer.record.url).host,
      more: peerHeaders(call, signed),
      watch: (started, onDead) => watchPeer(pool, peer, started ? MAX_MISSED_PINGS : 1, onDead),
      onHead: () => undefined,
      failure: ({ message, reason }) => {
        if (reason === "unreachable") peer.markMissing(message);
        return new PeerFailure(peer.name, message, reason !== "unreachable").toAppError();
      },
    });
  }

  private async send(call: DockerCall, out: Outgoing, upstream: Upstream): Promise<void> {
    const { request, response, row } = call;
    const head = Buffer.from(formatHead(`${out.method} ${out.target} HTTP/1.1`, headOf(call, upstream.host, out, upstream.more)), "latin1");
    const { endpoint } = upstream;
    for (let attempt = 1; ; attempt++) {
      try {
        return await Relay.run(
          {
            request,
            response,
            // The end of standard input is passed on while output still comes.
            endpoint: row.hijack ? { ...endpoint, connectOptions: { ...endpoint.connectOptions, allowHalfOpen: true } as never } : endpoint,
            // A connection that the other end is closing would fail requests that must not be sent twice.
            forceNewConnection: attempt > 1 || !SAFE_METHODS.has(out.method) || out.upgrade !== undefined,
            head: out.body ? Buffer.concat([head, out.body]) : head,
            headHasBody: out.body !== undefined,
            responseTimeoutMs: NO_TIMEOUT_MS,
            mayStall: true,
            toClientHeaders(answered) {
              upstream.onHead();
              return endToEndHeaders(answered);
            },
            onUpgrade: out.upgrade === undefined ? undefined : (accepted, socket) => answerStream(call, accepted, socket, upstream.watch),
            watchUpstream: upstream.watch,
          },
          this.connections,
        );
      } catch (error) {
        if (!(error instanceof RelayFailure)) throw error;
        if (attempt > 1 || !error.safeToRetry || response.destroyed) throw upstream.failure(error);
      }
    }
  }

  close(): void {
    this.connections.close();
  }
}

/** Connects the client with the stream that the engine has made of the connection. A client that offered no upgrade gets the raw stream as well. */
function answerStream({ request, response }: DockerCall, head: ResponseHead, socket: Socket, watch: WatchUpstream): void {
  const offer = request.upgradeOffer;
  const client = offer ?? takeConnection(request);
  const headers = endToEndHeaders(head);
  response.statusCode = offer ? 101 : 200;
  const protocol = headerValues(head.headers, "upgrade").join(", ");
  const type = headerValues(head.headers, "content-type").length > 0 ? [] : ["Content-Type", "application/vnd.docker.raw-stream"];
  const answer = offer
    ? formatHead(`HTTP/1.1 101 ${head.reason}`, ["Connection", "Upgrade", "Upgrade", protocol, ...headers])
    : formatHead("HTTP/1.1 200 OK", [...headers, ...type]);
  (client.socket as Duplex).write(answer, "latin1");
  joinStreams(client, socket, (onDead) => watch(true, onDead));
}
