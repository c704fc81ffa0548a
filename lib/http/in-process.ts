import http, { type IncomingHttpHeaders, type RequestListener } from "node:http";
import { type Duplex, duplexPair } from "node:stream";
import { buffer } from "node:stream/consumers";
import { answerUnreadable } from "../server/client-errors";
import type { Caller } from "./route";

/** A request that this process makes to itself, for a client it has let in already. */
export interface InnerRequest {
  method: string;
  /** path and query */
  path: string;
  /** sent as JSON */
  body?: object | undefined;
  headers?: Record<string, string>;
  caller: Caller;
  /** Ends it. */
  signal: AbortSignal;
}

export interface InnerAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/** Only this module makes such pipes: a request on one is known by it, whatever its headers say. */
const callers = new WeakMap<object, Caller>();

/** Who is behind a request, if it was made inside this process. */
export function innerCaller({ socket }: { socket: object }): Caller | undefined {
  return callers.get(socket);
}

/**
 * Answers requests of this process by the app itself: they pass the same limits, checks and logs as a client's, over a pipe in
 * memory instead of a connection.
 */
export class InProcess {
  private server: http.Server | undefined;

  constructor(private readonly app: RequestListener) {}

  /** @throws Error if the answer breaks off, or its caller has gone */
  async send({ method, path, body, headers, caller, signal }: InnerRequest): Promise<InnerAnswer> {
    const bytes = body && Buffer.from(JSON.stringify(body));
    const framing = bytes ? { "Content-Type": "application/json", "Content-Length": bytes.length } : {};
    const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
      const request = http.request({
        method,
        path,
        signal,
        headers: { ...headers, ...framing, Accept: "application/json", "X-Request-Id": caller.request_id },
        createConnection: () => this.connect(caller),
      });
      request.once("response", resolve).on("error", reject).end(bytes);
    });
    return { status: response.statusCode ?? 500, headers: response.headers, body: await buffer(response) };
  }

  private connect(caller: Caller): Duplex {
    const [near, far] = duplexPair();
    // What Node and Express ask of a socket, and a pipe hasn't.
    const socket = Object.assign(far, { remoteAddress: caller.address, setTimeout: () => far });
    near.once("close", () => far.destroy());
    far.once("close", () => near.destroy()).on("error", () => far.destroy());
    callers.set(socket, caller);
    if (!this.server) {
      this.server = http.createServer(this.app);
      answerUnreadable(this.server);
    }
    this.server.emit("connection", socket);
    return near;
  }
}
