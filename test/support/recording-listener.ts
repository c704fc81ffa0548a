import net, { type AddressInfo, type Socket } from "node:net";
import { ROOT_ADDRESS } from "./bed";

/** A listener that records its connections and their bytes, for addresses in forged node records. */
export interface RecordingListener {
  /** its URL, at the machine's own address on the test bed */
  url: string;
  /** The remote address of each connection. */
  callers(): string[];
  /** Everything received. */
  received(): string;
  /** Relays new connections to a server. Without a server it never answers. */
  forwardTo(to?: { host: string; port: number }): void;
  stop(): Promise<void>;
}

/**
 * Starts a listener.
 * @param url of an earlier listener, whose port it takes; a free port if absent
 */
export async function startRecordingListener(url?: string): Promise<RecordingListener> {
  const open = new Set<Socket>();
  const chunks: Buffer[] = [];
  const callers: string[] = [];
  let target: { host: string; port: number } | undefined;
  const server = net.createServer((socket) => {
    callers.push(socket.remoteAddress ?? "");
    const track = (each: Socket) => {
      open.add(each);
      each.on("error", () => each.destroy()).on("close", () => open.delete(each));
      return each;
    };
    track(socket).on("data", (chunk) => chunks.push(chunk));
    if (!target) return;
    const upstream = track(net.connect(target));
    socket.pipe(upstream).pipe(socket);
    upstream.on("close", () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(Number(url?.split(":")[2] ?? 0), ROOT_ADDRESS, resolve));
  return {
    url: `http://${ROOT_ADDRESS}:${(server.address() as AddressInfo).port}`,
    callers: () => callers,
    received: () => Buffer.concat(chunks).toString("latin1"),
    forwardTo: (to) => {
      target = to;
    },
    stop: () => {
      for (const socket of open) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
