import { mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { type Engine, startEngine } from "../test/support/engine";
import { importBusybox } from "../test/support/images";
import { type Registry, startRegistry } from "../test/support/registry";
import { startServer, type TestServer } from "../test/support/server";
import { readExceptions } from "./client-reports";
import { type ClientSuite, prepareDockerode, prepareDockerPy } from "./client-suites";
import { until } from "./process";

/**
 * Runs the test suites of Docker clients on an engine, and in front of such an engine on this server alone and in a pool, and prints
 * what passes where.
 * Usage: npm run test:clients -- [--dockerode DIR] [--docker-py DIR], with folders of checkouts, which stay as they are.
 * The exit code is 1 if a case passes on the engine only and docs/docker-api.md doesn't say why.
 */
const DOCUMENT = path.resolve(__dirname, "../docs/docker-api.md");
/** All that a server can allow: what it refuses by default is no difference of its API. */
const ALLOW = ["privileged", "host_namespaces", "devices", "capabilities", "docker_socket"];
/** The images of the suites, by the names that they have on Docker Hub: each is Debian's busybox here, under an id of its own. */
const LOCAL_IMAGES = ["ubuntu:latest", "alpine:latest", "alpine:3.10", "busybox:latest"];
const REMOTE_IMAGES = [...LOCAL_IMAGES, "hello-world:latest"];
/** dockerode's suite runs bash; docker-py's uses a user and a folder of Alpine. */
const COMPLETE_IMAGE = [
  "printf '#!/bin/sh\\nexec /bin/sh \"$@\"\\n' > /bin/bash && chmod 755 /bin/bash",
  "echo postgres:x:70:70::/:/bin/sh >> /etc/passwd && mkdir -p /var/opt",
].join(" && ");

type Outcome = "both" | "engine only" | "server only" | "neither";
type Place = "engine" | "server" | "pool";

/** Starts an engine that has the images, and takes those of Docker Hub from the registry. */
async function startEngineWithImages(registry: Registry): Promise<Engine> {
  const engine = await startEngine({ name: "clients", args: ["--registry-mirror", `http://${registry.host}`] });
  await importBusybox(engine, "plain");
  const docker = async (...args: string[]) => {
    const { code, stderr } = await engine.docker(args);
    if (code !== 0) throw new Error(`docker ${args.join(" ")}: ${stderr}`);
  };
  await docker("run", "--name", "images", "plain", "sh", "-c", COMPLETE_IMAGE);
  for (const name of REMOTE_IMAGES) {
    const reference = `${registry.host}/library/${name}`;
    // Pruning must not find several names of one image.
    await docker("commit", "--change", 'CMD ["sh"]', "--change", `LABEL image=${name}`, "images", reference);
    await docker("push", reference);
    if (LOCAL_IMAGES.includes(name)) await docker("tag", reference, name);
    await docker("rmi", reference);
  }
  await docker("rm", "images");
  await docker("rmi", "plain");
  return engine;
}

/**
 * Starts servers in front of an engine and calls `use` with the address of the Docker API.
 * @param where `server` for one alone; `pool` for two, of which clients use the one that takes no work
 */
async function withServers<T>(where: "server" | "pool", engine: Engine, use: (dockerHost: string) => Promise<T>): Promise<T> {
  const folder = path.join(engine.folder, "servers");
  const dockerHost = `unix://${path.join(folder, "docker.sock")}`;
  const listen = ["--docker_listen", dockerHost];
  const allow = ALLOW.flatMap((permission) => ["--allow", permission]);
  const engines = [engine];
  const servers: TestServer[] = [];
  const start = async (args: string[]) => {
    const [at, name] = [engines.at(-1) as Engine, `n${engines.length}`];
    const own = path.join(folder, name);
    mkdirSync(own, { recursive: true });
    const place = where === "server" ? {} : { host: at.address, port: 1717, inside: at.inside([]) };
    servers.push(await startServer({ engine: at, folder: own, ...place, args: ["--node_name", name, ...allow, ...args] }));
  };
  try {
    if (where === "server") await start(listen);
    else {
      const cluster = ["--cluster", "--folder", path.join(folder, "store"), "--refresh_rate=1000", "--peer_timeout=5000"];
      await start(cluster);
      engines.push(await startEngine({ name: "entry" }));
      await start([...cluster, ...listen, "--accept=false"]);
      const isComplete = async () => (await servers[0]?.request("GET", "/nodes"))?.json.nodes.length === 2;
      if (!(await until(isComplete, 20_000))) throw new Error("the nodes do not find each other");
    }
    return await use(dockerHost);
  } finally {
    for (const server of servers) await server.stop();
    for (const other of engines.slice(1)) await other.stop();
  }
}

/** Runs a suite on an engine of its own: what failed cases leave behind would fail others. */
async function runSuite(suite: ClientSuite, registry: Registry, where: Place, reports: string): Promise<Map<string, boolean>> {
  console.error(`test:clients: ${suite.name} on the ${where} …`);
  const engine = await startEngineWithImages(registry);
  const report = path.join(reports, `${suite.name}-${where}`);
  try {
    if (where === "engine") return await suite.run(engine.dockerHost, report);
    return await withServers(where, engine, (dockerHost) => suite.run(dockerHost, report));
  } finally {
    await engine.stop();
  }
}

function outcome(onEngine: boolean, onServer: boolean): Outcome {
  if (onEngine) return onServer ? "both" : "engine only";
  return onServer ? "server only" : "neither";
}

/** Prints what passes where, each line after a title. @returns the number of cases that pass on the engine only, for no known reason */
function report(title: string, suite: ClientSuite, onEngine: Map<string, boolean>, onServer: Map<string, boolean>): number {
  const counts: Record<Outcome, number> = { both: 0, "engine only": 0, "server only": 0, neither: 0 };
  const exceptions = readExceptions(readFileSync(DOCUMENT, "utf8"));
  const reasons = new Map<string, number>();
  let unexplained = 0;
  for (const name of new Set([...onEngine.keys(), ...onServer.keys()])) {
    const result = outcome(onEngine.get(name) === true, onServer.get(name) === true);
    counts[result] += 1;
    const reason = exceptions.find((each) => each.suite === suite.name && each.pattern.test(name))?.reason;
    console.log(`${title}: ${result}: ${name}${result === "engine only" ? ` (${reason ?? "UNEXPLAINED"})` : ""}`);
    if (result !== "engine only") continue;
    if (reason === undefined) unexplained += 1;
    else reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  const totals = Object.entries(counts).map(([result, count]) => `${count} ${result}`);
  console.log(`\n${title}, cases that pass on: ${totals.join(", ")}`);
  for (const [reason, count] of reasons) console.log(`  engine only, ${count}: ${reason}`);
  console.log(`  engine only, unexplained: ${unexplained}\n`);
  return unexplained;
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { dockerode: { type: "string" }, "docker-py": { type: "string" } } });
  const work = mkdtempSync(path.join(tmpdir(), "docker-server-clients-"));
  const suites: ClientSuite[] = [];
  if (values.dockerode !== undefined) suites.push(await prepareDockerode(values.dockerode, path.join(work, "dockerode")));
  if (values["docker-py"] !== undefined) suites.push(prepareDockerPy(values["docker-py"], path.join(work, "docker-py")));
  if (suites.length === 0) throw new Error("give a checkout: --dockerode DIR, --docker-py DIR");
  const registry = await startRegistry();
  let unexplained = 0;
  try {
    for (const suite of suites) {
      const onEngine = await runSuite(suite, registry, "engine", work);
      for (const where of ["server", "pool"] as const) {
        const onServer = await runSuite(suite, registry, where, work);
        unexplained += report(`${suite.name} on the ${where}`, suite, onEngine, onServer);
      }
    }
  } finally {
    await registry.stop();
    console.log(`Reports and outputs: ${work}`);
  }
  return unexplained === 0 ? 0 : 1;
}

// Exiting runs the handlers that stop the engines and their processes.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));
main().then(
  (code) => process.exit(code),
  (error: Error) => {
    console.error(`test:clients: ${error.message}`);
    process.exit(1);
  },
);
