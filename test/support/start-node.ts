import type { TestNode } from "./cluster";
import { startServer } from "./server";

/**
 * Starts a node's server, which has ended, with other options; `TestCluster.restart` keeps its options.
 * @param options.folder of the store
 * @param options.host another address of its host
 * @param options.inside command in front of the program, such as `env`
 */
export async function startNodeServer(
  node: TestNode,
  options: { folder: string; host?: string; port?: number; args?: string[]; inside?: string[] },
): Promise<void> {
  const { engine, name } = node;
  node.server = await startServer({
    engine,
    host: options.host ?? engine.address,
    port: options.port ?? 1717,
    inside: engine.inside(options.inside ?? []),
    args: [
      ...["--cluster", "--folder", options.folder, "--node_name", name],
      ...["--refresh_rate=1000", "--cache_interval=300", ...(options.args ?? [])],
    ],
  });
}
