import http from "node:http";
import type { AddressInfo } from "node:net";
import { ROOT_ADDRESS } from "./bed";
import type { Registry } from "./registry";

/** A proxy in front of a registry that holds requests for manifests and layers until `release()`. */
export interface StallingProxy {
  /** Host and port, as they stand before the first slash of an image reference. */
  host: string;
  /** Requests for a manifest or a layer so far. */
  requests(): number;
  release(): void;
  stop(): Promise<void>;
}

/** Starts a proxy at the machine's own address on the test bed. */
export async function stallingProxy(registry: Registry): Promise<StallingProxy> {
  let open: () => void = () => undefined;
  const released = new Promise<void>((resolve) => {
    open = resolve;
  });
  let count = 0;
  const [address, port] = registry.host.split(":");
  const server = http.createServer(async (request, response) => {
    if (/\/(manifests|blobs)\//.test(request.url ?? "")) {
      count += 1;
      await released;
    }
    const { method, url, headers } = request;
    const upstream = http.request({ host: address, port, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    upstream.on("error", () => response.destroy());
    request.pipe(upstream);
  });
  await new Promise<void>((resolve) => server.listen(0, ROOT_ADDRESS, resolve));
  return {
    host: `${ROOT_ADDRESS}:${(server.address() as AddressInfo).port}`,
    requests: () => count,
    release: open,
    stop: () => {
      open();
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
