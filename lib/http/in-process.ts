import http, { type IncomingHttpHeaders, type RequestListener } from "node:http";
import { type Duplex, duplexPair } from "node:stream";
import { buffer } from "node:stream/consumers";
import { answerClientErrors } from "../server/client-errors";
import type { Caller } from "./route";

/** A request of this process to its own API, on behalf of an authenticated client. */
export interface InProcessRequest {
  method: string;
  /** path and query */
  path: string;
  /** sent as JSON */
  body?: object | undefined;
  headers?: Record<string, string>;
  caller: Caller;
  /** aborts the request */
  signal: AbortSignal;
}

export interface InProcessResponse {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/** The client behind each in-memory socket. Only this module creates such sockets, so that a client can't claim an identity by a header. */
const callers = new WeakMap<object, Caller>();

/** The client that an in-process request is made for; undefined for any other request. */
export function inProcessCaller({ socket }: { socket: object }): Caller | undefined {
  return callers.get(socket);
}

/**
 * Sends requests of this process to its own app, through the same limits, checks and logs as a client's, over an in-memory pipe
 * instead of a connection.
 */
export class InProcessClient {
  private server: http.Server | undefined;

  constructor(private readonly app: RequestListener) {}

  /** @throws Error if the response breaks off or the signal aborts */
  async send({ method, path, body, headers, caller, signal }: InProcessRequest): Promise<InProcessResponse> {
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
    const [clientEnd, serverEnd] = duplexPair();
    // Node and Express use these members of a socket, which a Duplex lacks.
    const serverSocket = Object.assign(serverEnd, { remoteAddress: caller.address, setTimeout: () => serverEnd });
    clientEnd.once("close", () => serverEnd.destroy());
    serverEnd.once("close", () => clientEnd.destroy()).on("error", () => serverEnd.destroy());
    callers.set(serverSocket, caller);
    if (!this.server) {
      this.server = http.createServer(this.app);
      answerClientErrors(this.server);
    }
    this.server.emit("connection", serverSocket);
    return clientEnd;
  }
}
