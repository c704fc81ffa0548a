import type { IncomingMessage, Server } from "node:http";

/** Whoever sends this much (bytes a ms) may go on for as long as there is something to send: 100 kB a second. */
const RATE = 100;
/** ms */
const LOOK_EVERY = 1000;

/**
 * Cuts off requests whose body comes too slowly, as Node does it by `requestTimeout`, which has one time for all of them, be it a name or 1 GB.
 * @param timeout ms for every request, to which what has come adds at the lowest rate
 */
export function cutSlowRequests(server: Server, timeout: number): void {
  server.on("request", (request: IncomingMessage) => {
    const { socket, headers } = request;
    if (headers["transfer-encoding"] === undefined && !Number(headers["content-length"])) return;
    const begun = performance.now();
    const before = socket.bytesRead;
    const timer = setInterval(() => {
      if (request.complete || socket.destroyed) return clearInterval(timer);
      if (performance.now() - begun < timeout + (socket.bytesRead - before) / RATE) return;
      clearInterval(timer);
      server.emit("clientError", Object.assign(new Error("The request came too slowly"), { code: "ERR_HTTP_REQUEST_TIMEOUT" }), socket);
    }, LOOK_EVERY);
    timer.unref();
  });
}
