import http, { type IncomingHttpHeaders, type IncomingMessage, type RequestListener } from "node:http";
import { type Duplex, duplexPair } from "node:stream";
import { buffer } from "node:stream/consumers";
import type { AppError } from "../errors";
import { answerClientErrors } from "../server/client-errors";
import type { Caller } from "./route";

/** For whom this process asks itself, and for the audit log by which tool. */
export interface InProcessOrigin {
  caller: Caller;
  tool: string;
  /** Why the call can't be a request: it is audited and answered as this error. */
  refusal?: AppError;
}

/** A request of this process to its own API, on behalf of an authenticated client. */
export interface InProcessRequest extends InProcessOrigin {
  method: string;
  /** path and query */
  path: string;
  /** bytes, or an object that is sent as JSON */
  body?: Buffer | object | undefined;
  headers?: Record<string, string>;
  /** The response is cut after so many bytes of its body, or so long after its head. */
  limits?: { bytes: number; ms: number };
  /** aborts the request */
  signal: AbortSignal;
}

export interface InProcessResponse {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** whether the limits have cut the body */
  truncated: boolean;
}

/** Who is behind each in-memory socket. Only this module creates such sockets, so that a client can't claim an identity by a header. */
const origins = new WeakMap<object, InProcessOrigin>();

/** For whom an in-process request is made; undefined for any other request. */
export function inProcessOrigin({ socket }: { socket: object }): InProcessOrigin | undefined {
  return origins.get(socket);
}

/**
 * Sends requests of this process to its own app, through the same limits, checks and logs as a client's, over an in-memory pipe
 * instead of a connection.
 */
export class InProcessClient {
  private server: http.Server | undefined;

  constructor(private readonly app: RequestListener) {}

  /** @throws Error if the response breaks off or the signal aborts */
  async send({ method, path, body, headers, limits, signal, ...origin }: InProcessRequest): Promise<InProcessResponse> {
    const bytes = body === undefined || Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
    const framing = bytes ? { "Content-Type": "application/json", "Content-Length": bytes.length } : {};
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = http.request({
        method,
        path,
        signal,
        headers: { Accept: "application/json", ...framing, ...headers, "X-Request-Id": origin.caller.request_id },
        createConnection: () => this.connect(origin),
      });
      request.once("response", resolve).on("error", reject).end(bytes);
    });
    const { statusCode: status = 500, headers: responseHeaders } = response;
    return { status, headers: responseHeaders, ...(await readBody(response, limits)) };
  }

  private connect(origin: InProcessOrigin): Duplex {
    const [clientEnd, serverEnd] = duplexPair();
    // Node and Express use these members of a socket, which a Duplex lacks.
    const serverSocket = Object.assign(serverEnd, { remoteAddress: origin.caller.address, setTimeout: () => serverEnd });
    clientEnd.once("close", () => serverEnd.destroy());
    serverEnd.once("close", () => clientEnd.destroy()).on("error", () => serverEnd.destroy());
    origins.set(serverSocket, origin);
    if (!this.server) {
      this.server = http.createServer(this.app);
      answerClientErrors(this.server);
    }
    this.server.emit("connection", serverSocket);
    return clientEnd;
  }
}

async function readBody(response: IncomingMessage, limits: InProcessRequest["limits"]): Promise<{ body: Buffer; truncated: boolean }> {
  if (!limits) return { body: await buffer(response), truncated: false };
  const parts: Buffer[] = [];
  let length = 0;
  let expired = false;
  const timer = setTimeout(() => {
    expired = true;
    response.destroy();
  }, limits.ms);
  try {
    for await (const part of response as AsyncIterable<Buffer>) {
      parts.push(part);
      length += part.length;
      // Leaving the loop destroys the response, and with it the request.
      if (length > limits.bytes) break;
    }
  } catch (error) {
    if (!expired) throw error;
  } finally {
    clearTimeout(timer);
  }
  return { body: Buffer.concat(parts).subarray(0, limits.bytes), truncated: expired || length > limits.bytes };
}
