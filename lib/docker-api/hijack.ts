import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { AppError } from "../errors";
import { resetConnection } from "../proxy/relay";
import type { UpgradeOffer } from "../support/reply";

/** Time for a connection to close after the other one has ended. */
const CLOSE_TIMEOUT_MS = 5000;

/**
 * Reads the body of a request that offers an upgrade: Node leaves it on the connection.
 * @returns the body; the offer then begins after it
 * @throws AppError INVALID_BODY, BODY_TOO_LARGE
 */
export async function readOfferedBody(offer: UpgradeOffer, limitBytes: number): Promise<Buffer> {
  const { headers } = offer.request;
  if (headers["transfer-encoding"] !== undefined) throw new AppError("INVALID_BODY", { message: "The body needs a Content-Length" });
  const length = Number(headers["content-length"] ?? 0);
  if (length > limitBytes) throw new AppError("BODY_TOO_LARGE");
  let received = offer.head;
  while (received.length < length) received = Buffer.concat([received, await nextChunk(offer.socket)]);
  offer.head = received.subarray(length);
  return received.subarray(0, length);
}

function nextChunk(socket: Duplex): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const settle = (chunk?: Buffer) => {
      socket.off("data", settle).off("close", settle).off("end", settle).pause();
      if (chunk) resolve(chunk);
      else reject(new AppError("INVALID_BODY", { message: "The body is shorter than its Content-Length" }));
    };
    socket
      .on("data", settle)
      .on("close", () => settle())
      .on("end", () => settle())
      .resume();
  });
}

/**
 * Takes the connection of a request that was read to its end away from Node's HTTP parser: what follows on it is a raw stream, not a
 * next request.
 */
export function takeConnection(request: IncomingMessage): UpgradeOffer {
  const { socket } = request;
  // The first listener makes Node stop reading the socket natively; its own listeners feed the parser.
  socket.on("data", () => undefined);
  socket.removeAllListeners("data").removeAllListeners("end").removeAllListeners("timeout").pause();
  socket.setTimeout(0);
  return { request, socket, head: Buffer.alloc(0) };
}

/**
 * Connects a client with an upstream stream, both ways and without a limit of time. The end of one direction is passed on alone: the
 * output goes on after the end of standard input.
 * @param watch called with a function that ends both connections as broken; returns what stops the watch
 */
export function joinStreams({ socket, head }: UpgradeOffer, upstream: Duplex, watch?: (onDead: () => void) => () => void): void {
  const breakBoth = () => {
    resetConnection(socket);
    upstream.destroy();
  };
  if (socket.destroyed || upstream.destroyed) return void breakBoth();
  const stopWatching = watch?.(breakBoth);
  if (head.length > 0) socket.unshift(head);
  let timer: NodeJS.Timeout | undefined;
  let upstreamEnded = false;
  socket.on("error", () => socket.destroy());
  upstream.on("error", () => upstream.destroy());
  upstream.once("end", () => {
    upstreamEnded = true;
    // The process has ended: nobody reads what the client may still send.
    timer = setTimeout(() => socket.destroy(), CLOSE_TIMEOUT_MS);
  });
  upstream.once("close", () => {
    stopWatching?.();
    if (!upstreamEnded) breakBoth();
  });
  socket.once("close", () => {
    clearTimeout(timer);
    upstream.destroy();
  });
  socket.pipe(upstream);
  upstream.pipe(socket);
}
