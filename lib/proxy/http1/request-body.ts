import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { hopByHop, type RawHeaders } from "./message-head";

/** Whether a request has a body, and how its end is known. */
export function requestFraming({ headers }: IncomingMessage): "none" | "length" | "chunked" {
  if (headers["transfer-encoding"] !== undefined) return "chunked";
  return Number(headers["content-length"] ?? 0) > 0 ? "length" : "none";
}

/** Passes a request's body on, as fast as the other end takes it in. */
export class RequestBody {
  private readonly chunked: boolean;
  private begun = false;
  sent: boolean;

  /** @param moved called with each piece */
  constructor(
    private readonly request: IncomingMessage,
    private readonly socket: Socket,
    private readonly moved: () => void,
  ) {
    const framing = requestFraming(request);
    this.chunked = framing === "chunked";
    this.sent = framing === "none";
  }

  /** Whether anything of it may have gone out. */
  get touched(): boolean {
    return this.begun;
  }

  begin(): void {
    if (this.sent || this.begun) return;
    this.begun = true;
    this.request.on("data", this.pass).once("end", this.finish);
  }

  resume(): void {
    if (this.begun && !this.sent) this.request.resume();
  }

  /** Passes nothing more on. What still comes is read all the same, so that the client gets to reading its answer. */
  stop(): void {
    this.request.off("data", this.pass).off("end", this.finish);
    if (this.begun) this.request.resume();
  }

  private readonly pass = (bytes: Buffer): void => {
    this.moved();
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

  private readonly finish = (): void => {
    this.sent = true;
    this.moved();
    if (this.chunked) this.socket.write(`0\r\n${fields(this.request.rawTrailers)}\r\n`, "latin1");
  };
}

/** What trailers must not say (RFC 9110, section 6.5.1): how the message is framed, routed or let in. */
const NOT_IN_TRAILERS = new Set([
  "content-length",
  "host",
  "trailer",
  "authorization",
  "x-access-token",
  "cookie",
  "content-encoding",
  "content-type",
]);

/** The trailers that may go on. */
export function passedTrailers(trailers: RawHeaders): RawHeaders {
  const isHop = hopByHop(trailers);
  const passed: RawHeaders = [];
  for (let at = 0; at < trailers.length; at += 2) {
    const name = (trailers[at] as string).toLowerCase();
    if (!isHop(name) && !NOT_IN_TRAILERS.has(name)) passed.push(trailers[at] as string, trailers[at + 1] as string);
  }
  return passed;
}

function fields(trailers: RawHeaders): string {
  let text = "";
  const passed = passedTrailers(trailers);
  for (let at = 0; at < passed.length; at += 2) text += `${passed[at]}: ${passed[at + 1]}\r\n`;
  return text;
}
