import net, { type AddressInfo, type Socket } from "node:net";
import { ROOT_ADDRESS } from "./bed";

/** An address that records may name, and what comes to it. */
export interface RecordingListener {
  /** where it listens, on the machine's own address of the test bed */
  url: string;
  /** The addresses that connections came from, one for each. */
  callers(): string[];
  /** All that was sent to it. */
  received(): string;
  /** Passes what comes on to a server, and the answers back; it only listens, and never answers, if none is given. */
  forwardTo(to?: { host: string; port: number }): void;
  stop(): Promise<void>;
}

/**
 * Starts one.
 * @param url of one that was there before; a new address if absent
 */
export async function startRecordingListener(url?: string): Promise<RecordingListener> {
  const open = new Set<Socket>();
  const heard: Buffer[] = [];
  const callers: string[] = [];
  let target: { host: string; port: number } | undefined;
  const server = net.createServer((socket) => {
    callers.push(socket.remoteAddress ?? "");
    const kept = (each: Socket) => {
      open.add(each);
      each.on("error", () => each.destroy()).on("close", () => open.delete(each));
      return each;
    };
    kept(socket).on("data", (chunk) => heard.push(chunk));
    if (!target) return;
    const onward = kept(net.connect(target));
    socket.pipe(onward).pipe(socket);
    onward.on("close", () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(Number(url?.split(":")[2] ?? 0), ROOT_ADDRESS, resolve));
  return {
    url: `http://${ROOT_ADDRESS}:${(server.address() as AddressInfo).port}`,
    callers: () => callers,
    received: () => Buffer.concat(heard).toString("latin1"),
    forwardTo: (to) => {
      target = to;
    },
    stop: () => {
      for (const socket of open) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
