import http, { type IncomingMessage, type OutgoingHttpHeaders } from "node:http";
import https from "node:https";
import type { Readable } from "node:stream";
import { json } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { urlToHttpOptions } from "node:url";
import { AppError } from "../errors";
import type { Peer } from "./peer";
import type { Signatures } from "./signature";

export const PEER_HEADER = "x-docker-server-peer";

export interface PeerTls {
  /** PEM of further roots to trust */
  ca?: string | undefined;
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

/** A peer that gave no answer: before it can have got the request, or after. */
export class PeerFailure extends Error {
  constructor(
    readonly peer: string,
    readonly reason: string,
    readonly sent: boolean,
    /** it says nothing against the peer: it did answer, with an error, or the asker gave up */
    readonly blameless = false,
  ) {
    super(`${peer}: ${reason}`);
  }

  /** As the client of a request that can't be tried elsewhere sees it. */
  toAppError(): AppError {
    return new AppError("NODE_FAILED", {
      message: `The node ${this.peer} gave no answer: ${this.reason}`,
      details: { node: this.peer, sent: this.sent },
    });
  }
}

/** Speaks to other nodes. */
export class PeerClient {
  private readonly agents;

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
   * Sends a request, marked and signed, and hands back the answer as it begins.
   * @throws PeerFailure if none comes
   */
  send(peer: Peer, call: PeerCall): Promise<IncomingMessage> {
    const target = new URL(peer.record.url);
    const secure = target.protocol === "https:";
    const to = peer.name;
    const seal = this.signatures.seal({ from: this.self, to, method: call.method, url: call.url, caller: call.caller, left: call.left });
    // What may not be done twice gets a connection of its own: a failure to connect then means that it wasn't sent.
    const once = call.method !== "GET" && call.method !== "HEAD";
    const options = {
      ...urlToHttpOptions(target),
      // As the client wrote it: what is sent is what is signed, and `//other.host/` is a path too.
      path: call.url,
      method: call.method,
      headers: { ...call.headers, [PEER_HEADER]: seal },
      agent: once ? false : this.agents[target.protocol as "http:" | "https:"],
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
      request.on("error", (error: NodeJS.ErrnoException) => {
        clearTimeout(timer);
        reject(new PeerFailure(to, error.code ?? error.message, sent, call.signal?.aborted));
      });
      if (call.body === undefined || Buffer.isBuffer(call.body)) request.end(call.body);
      else pipeline(call.body, request).catch(() => undefined); // the request's own error says it
    });
  }

  /**
   * Asks and reads the answer as JSON.
   * @throws PeerFailure, also for an answer that isn't 200
   */
  async ask<T>(peer: Peer, call: PeerCall): Promise<T> {
    const response = await this.send(peer, call);
    const timer = setTimeout(() => response.destroy(new Error("the answer stopped")), call.timeout ?? 30_000);
    try {
      const answer = (await json(response)) as T & { message?: string };
      if (response.statusCode === 200) return answer;
      throw new PeerFailure(peer.name, answer.message ?? `status ${response.statusCode}`, true, true);
    } catch (error) {
      throw error instanceof PeerFailure ? error : new PeerFailure(peer.name, (error as Error).message, true, call.signal?.aborted);
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    for (const agent of Object.values(this.agents)) agent.destroy();
  }
}
