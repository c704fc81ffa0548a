import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { until } from "../../scripts/process";
import { type Engine, type EngineKind, engineKind, leaseEngine, startEngine } from "./engine";
import { importBusybox } from "./images";
import { type Answer, ask, type RequestOptions, startServer, type TestServer } from "./server";

export interface TestNode {
  name: string;
  engine: Engine;
  server: TestServer;
  request(method: string, pathname: string, options?: RequestOptions): Promise<Answer>;
}

export interface TestCluster {
  nodes: TestNode[];
  /** The folder of the store, unless flags name another store. */
  folder: string;
  /** Starts a node's server, which has ended, again with the same flags. */
  restart(node: TestNode, args?: string[]): Promise<void>;
  stop(): Promise<void>;
}

const PORT = 1717;

/**
 * Starts hosts with an engine and a server each, in their own network namespaces, and waits until each node knows all.
 * @param options.size number of hosts
 * @param options.kind of all engines; of different kinds in turn if absent
 * @param options.args further flags of every server
 * @param options.argsOf further flags of the server of one host
 * @param options.stored false if the flags name another store than the folder
 * @param options.ownEngines the suite kills, freezes or cuts off engines, or changes their network
 */
export async function startCluster(options: {
  size: number;
  kind?: EngineKind;
  args?: string[];
  argsOf?: (engine: Engine) => string[];
  stored?: boolean;
  ownEngines?: boolean;
}): Promise<TestCluster> {
  const folder = mkdtempSync(path.join(tmpdir(), "docker-server-cluster-"));
  const take = options.ownEngines ? startEngine : leaseEngine;
  const engines = await Promise.all(
    Array.from({ length: options.size }, (_, index) => take({ name: `n${index + 1}`, kind: options.kind ?? engineKind(index) })),
  );
  await Promise.all(engines.map((engine) => importBusybox(engine)));
  const store = options.stored === false ? [] : ["--folder", folder];
  const args = options.args ?? [];
  // Unless a test sets the timeout, it is long: a slow node on a busy machine must not count as dead.
  const peerTimeout = args.some((arg) => arg.startsWith("--peer_timeout")) ? [] : ["--peer_timeout=5000"];
  const flags = ["--cluster", ...store, "--refresh_rate=1000", "--cache_interval=300", ...peerTimeout, ...args];
  const start = (engine: Engine, more: string[] = []) =>
    startServer({
      engine,
      host: engine.address,
      port: PORT,
      inside: engine.inside([]),
      args: ["--node_name", engine.name, ...flags, ...(options.argsOf?.(engine) ?? []), ...more],
    });
  const nodes: TestNode[] = await Promise.all(
    engines.map(async (engine) => {
      const server = await start(engine);
      const node: TestNode = { name: engine.name, engine, server, request: (...request) => ask(node.server.url, ...request) };
      return node;
    }),
  );
  const complete = () => Promise.all(nodes.map(async (node) => (await node.request("GET", "/nodes")).json?.nodes?.length === nodes.length));
  if (!(await until(async () => (await complete()).every(Boolean), 20_000))) throw new Error("the nodes do not find each other");
  return {
    nodes,
    folder,
    async restart(node, args) {
      node.server = await start(node.engine, args);
    },
    async stop() {
      await Promise.all(nodes.map((node) => node.server.stop("SIGKILL")));
      await Promise.all(engines.map((engine) => engine.stop()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
