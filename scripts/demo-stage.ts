import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { startDaemon } from "./daemon";
import { type Belongings, KEPT } from "./demo-belongings";
import { startDemoRegistry } from "./demo-registry";
import { note } from "./demo-terminal";
import { ensureEngine } from "./engine";
import { runOrThrow } from "./process";

const PROGRAM = path.resolve(__dirname, "../dist/bin/docker-server.js");

/** What every show has. */
export interface Stage {
  belongings: Belongings;
  /** The names of all containers of the demo begin with it, and those of no others. */
  prefix: string;
  /** An image with a shell, in a registry that this machine's engine reaches. */
  image: string;
  /** A folder for files of the demo. */
  folder: string;
}

export interface DemoServer {
  url: string;
  token: string;
}

/** Provides an engine, a registry with an image, and a name for containers that all go at the end. */
export async function setStage(belongings: Belongings): Promise<Stage> {
  const host = process.env.DOCKER_HOST;
  if (host && !host.startsWith("unix:")) throw new Error(`the demo needs an engine on this machine, not DOCKER_HOST=${host}`);
  const engine = await belongings.take("Docker engine of the demo", ensureEngine, async ({ started, stop }) => (started ? stop() : KEPT));
  note(engine.started ? "No Docker engine answered here: one was started." : "A Docker engine answers here: it is used.");

  const newFolder = () => mkdtempSync(path.join(os.tmpdir(), "docker-server-demo-"));
  const folder = await belongings.take("folder of the demo", newFolder, async (had) => rmSync(had, { recursive: true, force: true }));
  const newRegistry = () => startDemoRegistry(path.join(folder, "layer.tar"));
  const { image } = await belongings.take("registry of the demo", newRegistry, (had) => had.stop());
  note(`An image of busybox was made, and a registry on this machine offers it: ${image}`);
  await belongings.take("image of the demo", () => image, removeImage);
  const newPrefix = () => `demo-${randomBytes(3).toString("hex")}-`;
  const prefix = await belongings.take("containers of the demo", newPrefix, removeContainers);
  return { belongings, prefix, image, folder };
}

/** Starts the built server with a token of its own; `name` is the node's. */
export async function startDemoServer({ belongings, folder }: Stage, name: string): Promise<DemoServer> {
  const token = randomBytes(24).toString("base64url");
  const cwd = path.join(folder, name);
  mkdirSync(cwd);
  const logFile = path.join(cwd, "output.log");
  const url = () => /listening on (http:\S+)/.exec(readFileSync(logFile, "utf8"))?.[1];
  const start = () =>
    startDaemon({
      name: "docker-server",
      command: process.execPath,
      args: [PROGRAM, "--host", "127.0.0.1", "--port", "0", "--node_name", name],
      // No settings of others; and the token is none of the flags, since everybody can read the list of processes.
      env: { ...only(["PATH", "HOME", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"]), DS_TOKEN: token },
      cwd,
      logFile,
      ready: async () => url() !== undefined,
    });
  await belongings.take("server of the demo", start, (had) => had.end("SIGTERM", 40_000));
  return { url: url() as string, token };
}

function only(names: string[]): NodeJS.ProcessEnv {
  return Object.fromEntries(names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])));
}

async function removeContainers(prefix: string): Promise<void> {
  const ids = await docker(["ps", "--all", "--quiet", "--filter", `name=^/?${prefix}`]);
  if (ids !== "") await docker(["rm", "--force", "--volumes", ...ids.split("\n")]);
}

async function removeImage(image: string): Promise<void> {
  const ids = await docker(["images", "--quiet", image]);
  if (ids !== "") await docker(["image", "rm", "--force", image]);
}

/** The docker CLI, in a session of its own: a second Ctrl-C must not cut the tidying up short. */
async function docker(args: string[]): Promise<string> {
  return (await runOrThrow("setsid", ["--wait", "docker", ...args])).trim();
}
