import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import type { HostFacts } from "../lib/cluster/cluster";
import { LookupLeases } from "../lib/cluster/routing/lookup-leases";
import { type RpcHandlerDeps, rpcHandlers } from "../lib/cluster/rpc/handlers";
import { RpcServer } from "../lib/cluster/rpc/rpc-server";
import { Signatures } from "../lib/cluster/rpc/signatures";
import { Bidder } from "../lib/cluster/scheduling/bidder";
import { quietLog } from "../test/support/unit/quiet-log";

/** What the simulated nodes have done since they were last asked. */
export interface PeerUse {
  /** calls of the measured node that they have answered */
  calls: number;
  /** ms, of all of them together */
  cpuMs: number;
}

export const SIMULATED_KEY = "the key of simulated nodes";
export const nameOfPeer = (number: number) => `n${number}`;
export const containerOfPeer = (number: number) => `web-${number}`;

const CONTAINERS = 20;
const IDLE = { containers: 0, memory: 0, cpus: 0, runs: 0 };
const GIGABYTE = 1e9;

/** A host whose Docker answers at once: one container named after the node, and others. */
export function simulatedHost(number: number): HostFacts {
  const listed = Array.from({ length: CONTAINERS }, (_, index) => ({
    id: `${number}x${index}`.padStart(64, "0"),
    name: index === 0 ? containerOfPeer(number) : `other-${number}-${index}`,
    image: "busybox",
    command: "sleep 6000",
    created: "2026-01-01T00:00:00.000Z",
    state: "running",
    status: "Up 3 minutes",
    ports: [],
    labels: {},
    host: nameOfPeer(number),
  }));
  const list = { version: String(number), json: Buffer.from(JSON.stringify(listed)), followed: true };
  return {
    find: async (id) => ({ exact: listed.filter((each) => each.name === id || each.id === id), prefix: [] }),
    list: async () => list,
    onChange: () => undefined,
    onNameGiven: () => undefined,
    followsNames: () => true,
    answerName: async (name) => ({ taken: listed.some((each) => each.name === name) }),
    countUse: async () => ({ settled: IDLE, pending: [] }),
    holdsVolume: async () => false,
    inventory: async () => ({
      ...{ reservedMemory: 0, reservedCpu: 0, bindings: [], hasImage: true, hasVolumes: true },
      ...{ totalMemory: GIGABYTE, cores: 1 },
    }),
    runs: () => ({ running: 0, waiting: 0 }),
    state: async () => ({ docker: "28", engineId: nameOfPeer(number), containers: CONTAINERS }),
    withVolume: async (_name, use) => use(),
  };
}

let calls = 0;

/** Starts a node that answers the calls of others with the server's own code. @returns its port */
async function startPeer(number: number): Promise<number> {
  const nodeName = nameOfPeer(number);
  const { log } = quietLog();
  const host = simulatedHost(number);
  const handler = rpcHandlers({
    host,
    bidder: new Bidder({ nodeName, inventory: host.inventory, load: () => ({ cpu: 0, memory: 0 }), slotCount: 4 }),
    leases: { grant: () => 25 } as never,
    lookupLeases: new LookupLeases(() => undefined),
    // Not asked of these nodes.
    ...({} as Pick<RpcHandlerDeps, "members" | "containerCache" | "hints" | "ownRecord">),
  });
  const countCall: typeof handler = (...call) => {
    calls += 1;
    return handler(...call);
  };
  const stamp = () => ({ process: nodeName, clock: performance.now() });
  const server = new RpcServer(nodeName, new Signatures([SIMULATED_KEY]), countCall, log, { stamp });
  const listener = http.createServer().on("upgrade", (request, socket, head) => void server.take(request, socket, head));
  await once(listener.listen(0, "127.0.0.1"), "listening");
  return (listener.address() as AddressInfo).port;
}

async function main(count: number): Promise<void> {
  const ports = await Promise.all(Array.from({ length: count }, (_, index) => startPeer(index + 1)));
  let before = process.cpuUsage();
  process.on("message", () => {
    const { user, system } = process.cpuUsage(before);
    process.send?.({ calls, cpuMs: (user + system) / 1000 } satisfies PeerUse);
    calls = 0;
    before = process.cpuUsage();
  });
  process.on("disconnect", () => process.exit());
  process.send?.(ports);
}

// As a program of its own, so that its CPU time is not that of the measured node.
if (process.argv[1] === __filename) void main(Number(process.argv[2]));
