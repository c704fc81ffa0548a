import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { formatFieldLines, type RawHeaders } from "./message-head";

/** How the end of a request's body is known; `none` if it has no body. */
export function requestBodyFraming({ headers }: IncomingMessage): "none" | "length" | "chunked" {
  if (headers["transfer-encoding"] !== undefined) return "chunked";
  return Number(headers["content-length"] ?? 0) > 0 ? "length" : "none";
}

/** Sends a request's body upstream, as fast as the upstream socket accepts it. */
export class RequestBodySender {
  private readonly chunked: boolean;
  private started = false;
  /** The whole body was written, or there is none. */
  sent: boolean;

  /**
   * @param forwardTrailers removes the trailers that must not be forwarded
   * @param onProgress called with each chunk, and at the end
   * @param hasBody false if the body was sent already
   */
  constructor(
    private readonly request: IncomingMessage,
    private readonly socket: Socket,
    private readonly forwardTrailers: (trailers: RawHeaders) => RawHeaders,
    private readonly onProgress: () => void,
    hasBody = true,
  ) {
    const framing = requestBodyFraming(request);
    this.chunked = framing === "chunked";
    this.sent = !hasBody || framing === "none";
  }

  /** A part of the body may have been written: the request can't be sent a second time. */
  get mayHaveSent(): boolean {
    return this.started;
  }

  start(): void {
    if (this.sent || this.started) return;
    this.started = true;
    this.request.on("data", this.sendChunk).once("end", this.sendEnd);
  }

  resume(): void {
    if (this.started && !this.sent) this.request.resume();
  }

  /** Stops sending. The rest of the body is still read and discarded: many clients read the response only after they have sent all. */
  stop(): void {
    this.request.off("data", this.sendChunk).off("end", this.sendEnd);
    if (this.started) this.request.resume();
  }

  private readonly sendChunk = (bytes: Buffer): void => {
    this.onProgress();
    const { socket } = this;
    if (!this.chunked) {
      if (!socket.write(bytes)) this.request.pause();
      return;
    }
    socket.cork();
    socket.write(`${bytes.length.toString(16)}\r\n`, "latin1");
    socket.write(bytes);
    if (!socket.write("\r\n", "latin1")) this.request.pause();
    process.nextTick(() => socket.uncork());
  };

  private readonly sendEnd = (): void => {
    this.sent = true;
    this.onProgress();
    if (this.chunked) this.socket.write(`0\r\n${formatFieldLines(this.forwardTrailers(this.request.rawTrailers))}\r\n`, "latin1");
  };
}
