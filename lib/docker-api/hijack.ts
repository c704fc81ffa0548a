import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { AppError } from "../errors";
import { ChunkedDecoder } from "../proxy/http1/chunked-decoder";
import { resetConnection } from "../proxy/relay";
import type { UpgradeOffer } from "../support/reply";

/** Time for a connection to close after the other one has ended. */
const CLOSE_TIMEOUT_MS = 5000;

/**
 * Reads the body of a request that offers an upgrade from the connection.
 * @returns the body; the offer then begins after it
 * @throws AppError INVALID_BODY, BODY_TOO_LARGE
 */
export async function readOfferedBody(offer: UpgradeOffer, limitBytes: number): Promise<Buffer> {
  const { headers } = offer.request;
  if (headers["transfer-encoding"] !== undefined) return readOfferedChunks(offer, limitBytes);
  const length = Number(headers["content-length"] ?? 0);
  if (length > limitBytes) throw new AppError("BODY_TOO_LARGE");
  let received = offer.head;
  while (received.length < length) received = Buffer.concat([received, await nextChunk(offer.socket)]);
  offer.head = received.subarray(length);
  return received.subarray(0, length);
}

async function readOfferedChunks(offer: UpgradeOffer, limitBytes: number): Promise<Buffer> {
  const body: Buffer[] = [];
  let size = 0;
  const decoder = new ChunkedDecoder((bytes) => {
    size += bytes.length;
    body.push(bytes);
  });
  for (let received = offer.head; ; received = await nextChunk(offer.socket)) {
    let used: number;
    try {
      used = decoder.push(received);
    } catch (cause) {
      throw new AppError("INVALID_BODY", { message: `The body is not chunked as it says: ${(cause as Error).message}`, cause });
    }
    if (size > limitBytes) throw new AppError("BODY_TOO_LARGE");
    if (!decoder.done) continue;
    offer.head = received.subarray(used);
    return Buffer.concat(body);
  }
}

function nextChunk(socket: Duplex): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const settle = (chunk?: Buffer) => {
      socket.off("data", settle).off("close", settle).off("end", settle).pause();
      if (chunk) resolve(chunk);
      else reject(new AppError("INVALID_BODY", { message: "The body ended too early" }));
    };
    if (socket.readableEnded) return settle();
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
  if (socket.readableEnded) upstream.end(head);
  else {
    if (head.length > 0) socket.unshift(head);
    socket.pipe(upstream);
  }
  upstream.pipe(socket);
}
