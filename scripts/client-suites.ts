import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { readJunitReport, readMochaReport } from "./client-reports";
import { runOrThrow } from "./process";

/** A client's own test suite, in a folder that belongs to this process. */
export interface ClientSuite {
  name: "dockerode" | "docker-py";
  /**
   * Runs it against an engine.
   * @param dockerHost as in DOCKER_HOST
   * @param report where its report is written; its output goes beside it, to `report`.log
   * @returns whether each case has passed; a case that was skipped has not
   */
  run(dockerHost: string, report: string): Promise<Map<string, boolean>>;
}

/** A case of docker-py that takes longer is hung. */
const CASE_TIMEOUT_SECONDS = 120;
/** Debian's: another Python in the PATH has none of its packages. */
const PYTHON = "/usr/bin/python3";

/**
 * Copies a checkout of dockerode and installs what it needs.
 * @throws Error if it is none, or with npm's message
 */
export async function prepareDockerode(checkout: string, folder: string): Promise<ClientSuite> {
  copyCheckout(checkout, folder, "test/spec_helper.js");
  await runOrThrow("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", folder]);
  return {
    name: "dockerode",
    async run(dockerHost, report) {
      const mocha = ["node_modules/mocha/bin/mocha.js", "--exit", "--reporter=json", `--reporter-option=output=${report}`];
      // Its helper takes DOCKER_HOST only if DOCKER_SOCKET is set.
      await runLogged(process.execPath, mocha, folder, { DOCKER_HOST: dockerHost, DOCKER_SOCKET: "unused" }, `${report}.log`);
      return readMochaReport(readFileSync(report, "utf8"));
    },
  };
}

/**
 * Copies a checkout of docker-py; `set-up.sh clients` installs what it needs.
 * @throws Error if it is none
 */
export function prepareDockerPy(checkout: string, folder: string): ClientSuite {
  copyCheckout(checkout, folder, "tests/integration/base.py");
  return {
    name: "docker-py",
    async run(dockerHost, report) {
      const args = ["-m", "pytest", "tests/integration", `--junitxml=${report}`, `--timeout=${CASE_TIMEOUT_SECONDS}`];
      await runLogged(PYTHON, args, folder, { DOCKER_HOST: dockerHost, PYTHONPATH: folder }, `${report}.log`);
      return readJunitReport(readFileSync(report, "utf8"));
    },
  };
}

function copyCheckout(checkout: string, folder: string, file: string): void {
  if (!existsSync(path.join(checkout, file))) throw new Error(`${checkout} is no checkout with ${file}`);
  const left = new Set([".git", "node_modules"]);
  cpSync(checkout, folder, { recursive: true, verbatimSymlinks: true, filter: (source) => !left.has(path.basename(source)) });
}

/** Runs a suite to its end; failed cases are no error. */
async function runLogged(command: string, args: string[], folder: string, env: Record<string, string>, log: string): Promise<void> {
  writeFileSync(log, "");
  const output = openSync(log, "a");
  // A configuration of this machine's docker command would change what the clients ask.
  const home = `${log}.home`;
  mkdirSync(path.join(home, ".docker"), { recursive: true });
  // docker-py keeps its contexts beside this file, and without one in the checkout, where the next run would find them.
  writeFileSync(path.join(home, ".docker", "config.json"), "{}");
  const environment = { PATH: process.env.PATH, HOME: home, LANG: "C.UTF-8", ...env };
  await new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: folder, env: environment, stdio: ["ignore", output, output] });
    child.on("error", reject);
    child.on("close", resolve);
  });
}
