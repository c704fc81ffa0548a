import { mkdtempSync } from "node:fs";
import path from "node:path";
import type { Engine } from "./bed-engine";
import { Curl } from "./demo-curl";
import type { DemoHosts } from "./demo-hosts";
import type { Resources } from "./demo-resources";
import { type DemoServer, newToken, startServer } from "./demo-stage";
import { note } from "./demo-terminal";
import { until } from "./process";

/** The server of one host of several. */
export interface DemoNode {
  name: string;
  /** Placeholder for its address in the printed commands. */
  variable: string;
  curl: Curl;
  server: DemoServer;
  /** Where it speaks Docker's own API, as `docker -H` takes it. */
  dockerHost: string;
  /** Placeholder for that in the printed commands. */
  dockerVariable: string;
  readonly pid: number;
  kill(): Promise<void>;
  /** Starts it again after `kill`, and waits until the pool is complete. */
  restart(): Promise<void>;
}

const PORT = 1717;

/** Starts a server on every host, and waits until each reaches all. */
export async function startNodes(resources: Resources, { engines, shared }: DemoHosts): Promise<DemoNode[]> {
  const token = newToken();
  const servers = engines.map(({ address }) => ({ url: `http://${address}:${PORT}`, token }));
  const args = ["--cluster", "--folder", shared];
  for (const [index, { name }] of engines.entries()) {
    note(
      `docker-server ${args.join(" ")} --node_name ${name} --docker_listen $${dockerVariable(index)}   ${variable(index)}=${servers[index]?.url}`,
    );
  }
  note(`The sockets: ${engines.map((engine, index) => `${dockerVariable(index)}=${dockerHostOf(engine)}`).join(" ")}`);
  const startOn = (engine: Engine) =>
    startServer(resources, {
      label: `server of ${engine.name}`,
      name: engine.name,
      cwd: mkdtempSync(path.join(engine.folder, "server-")),
      token,
      args: [...args, "--docker_listen", dockerHostOf(engine)],
      env: { DOCKER_HOST: engine.dockerHost },
      prefix: engine.inside([]),
    });
  const nodes = await Promise.all(
    engines.map(async (engine, index): Promise<DemoNode> => {
      let { daemon } = await startOn(engine);
      return {
        name: engine.name,
        variable: `$${variable(index)}`,
        dockerHost: dockerHostOf(engine),
        dockerVariable: `$${dockerVariable(index)}`,
        curl: new Curl(servers[index] as DemoServer, `$${variable(index)}`),
        server: servers[index] as DemoServer,
        get pid() {
          return daemon.pid;
        },
        kill: () => daemon.end("SIGKILL"),
        async restart() {
          ({ daemon } = await startOn(engine));
          await waitForPool(servers);
        },
      };
    }),
  );
  await waitForPool(servers);
  note("They have found each other.");
  return nodes;
}

const variable = (index: number) => `NODE${index + 1}`;
const dockerVariable = (index: number) => `DOCKER${index + 1}`;
const dockerHostOf = ({ folder }: Engine) => `unix://${path.join(folder, "pool.sock")}`;

/** Waits until each server reaches all; throws an Error after 30 s. */
async function waitForPool(servers: DemoServer[]): Promise<void> {
  const reachesAll = async ({ url, token }: DemoServer) => {
    const response = await fetch(`${url}/nodes`, { headers: { "X-Access-Token": token } });
    const { nodes } = (await response.json()) as { nodes: { reachable: boolean }[] };
    return nodes.filter(({ reachable }) => reachable).length === servers.length;
  };
  const all = async () => (await Promise.all(servers.map(reachesAll))).every(Boolean);
  if (!(await until(all, 30_000))) throw new Error("the nodes do not find each other");
}
