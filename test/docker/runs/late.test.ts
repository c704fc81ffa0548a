import net from "node:net";
import path from "node:path";
import { until } from "../../../scripts/process";
import { comesBackTo, everythingOn, oneOff } from "../../support/runs";
import { startServer } from "../../support/server";
import { type OneNode, startNode } from "../../support/single-node";

const WAIT_MS = 60_000;

let node: OneNode;
let before: string[];
beforeAll(async () => {
  node = await startNode({ name: "runs-late", ownEngine: true });
  before = await everythingOn(node);
});
afterAll(() => node?.stop());

/** A proxy to the engine that calls `onCreate` before it forwards a container's creation. */
async function startProxy(socket: string, onCreate: () => void): Promise<{ dockerHost: string; close(): void }> {
  const open = new Set<net.Socket>();
  const proxy = net.createServer((client) => {
    const engine = net.connect(socket);
    for (const [from, to] of [
      [client, engine],
      [engine, client],
    ] as const) {
      open.add(from);
      from.on("error", () => to.destroy());
      from.on("close", () => to.end());
    }
    client.on("data", (chunk) => {
      if (chunk.toString("latin1").startsWith("POST /containers/create")) onCreate();
      engine.write(chunk);
    });
    engine.pipe(client);
  });
  const socketPath = path.join(node.engine.folder, "proxy.sock");
  await new Promise<void>((resolve) => proxy.listen(socketPath, resolve));
  return {
    dockerHost: `unix://${socketPath}`,
    close() {
      for (const socket of open) socket.destroy();
      proxy.close();
    },
  };
}

test("a container created after its run was given up is removed", async () => {
  let creates = 0;
  const proxy = await startProxy(node.engine.socket, () => {
    creates += 1;
    if (creates === 1) node.engine.freeze();
  });
  const server = await startServer({ env: { DOCKER_HOST: proxy.dockerHost } });
  try {
    const { json } = await oneOff(server, { command: "true" });
    expect([creates, json.status, json.code]).toEqual([1, 503, "ENGINE_UNREACHABLE"]);
    node.engine.thaw();
    // The late removal doesn't affect the next runs.
    expect(await until(async () => (await oneOff(server, { command: "echo fine" })).json.stdout === "fine\n", WAIT_MS)).toBe(true);
    expect(await comesBackTo(node, before)).toBe(true);
  } finally {
    node.engine.thaw();
    await server.stop();
    proxy.close();
  }
});
