import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { startDaemon } from "./daemon";
import { IMAGE_FILE, newStageFolder, prefixOf, removeLeftovers } from "./demo-cleanup";
import { removeContainers, removeImage } from "./demo-docker";
import type { DemoHosts } from "./demo-hosts";
import { startDemoRegistry } from "./demo-registry";
import { type Belongings, KEPT } from "./demo-resources";
import { note } from "./demo-terminal";
import { ensureEngine } from "./engine";

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
  /** The file of the one layer of that image. */
  layerFile: string;
  /** Three simulated hosts, or why there are none. */
  hosts: Promise<DemoHosts | string>;
}

export interface DemoServer {
  url: string;
  token: string;
}

/** How and where a server is started. */
export interface ServerStart {
  /** What it is, for messages. */
  what: string;
  /** The node's name. */
  name: string;
  /** Its working folder, which is made. */
  cwd: string;
  token: string;
  args: string[];
  env: NodeJS.ProcessEnv;
  /** Words in front of the command. */
  inside?: string[];
}

/** Provides an engine, a registry with an image, and a name for containers that all go at the end. */
export async function setStage(belongings: Belongings): Promise<Omit<Stage, "hosts">> {
  const host = process.env.DOCKER_HOST;
  if (host && !host.startsWith("unix:")) throw new Error(`the demo needs an engine on this machine, not DOCKER_HOST=${host}`);
  const engine = await belongings.take("Docker engine of the demo", ensureEngine, async ({ started, stop }) => (started ? stop() : KEPT));
  note(engine.started ? "No Docker engine answered here: one was started." : "A Docker engine answers here: it is used.");

  await removeLeftovers();
  const folder = await belongings.take("folder of the demo", newStageFolder, async (had) => rmSync(had, { recursive: true, force: true }));
  const layerFile = path.join(folder, "layer.tar");
  const newRegistry = () => startDemoRegistry(layerFile);
  const { image } = await belongings.take("registry of the demo", newRegistry, (had) => had.stop());
  note(`An image of busybox was made, and a registry on this machine offers it: ${image}`);
  writeFileSync(path.join(folder, IMAGE_FILE), image);
  await belongings.take("image of the demo", () => image, removeImage);
  const prefix = await belongings.take("containers of the demo", () => prefixOf(folder), removeContainers);
  return { belongings, prefix, image, folder, layerFile };
}

/** Starts the built server with a token of its own; `name` is the node's. */
export async function startDemoServer({ belongings, folder }: Stage, name: string): Promise<DemoServer> {
  const token = newToken();
  const args = ["--host", "127.0.0.1", "--port", "0"];
  const env = only(["DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"]);
  const start = { what: "server of the demo", name, cwd: path.join(folder, name), token, args, env };
  return { url: (await startServer(belongings, start)).listening, token };
}

export const newToken = () => randomBytes(24).toString("base64url");

/** Starts the built server and waits until it listens, at the address that it then tells. */
export async function startServer(belongings: Belongings, { what, name, cwd, token, args, env, inside = [] }: ServerStart) {
  mkdirSync(cwd, { recursive: true });
  const logFile = path.join(cwd, "output.log");
  const listening = () => /listening on (http:\S+)/.exec(readFileSync(logFile, "utf8"))?.[1];
  const [command = "", ...rest] = [...inside, process.execPath, PROGRAM, ...args, "--node_name", name];
  const start = () =>
    startDaemon({
      name: "docker-server",
      command,
      args: rest,
      // No settings of others; and the token is none of the flags, since everybody can read the list of processes.
      env: { ...only(["PATH", "HOME"]), ...env, DS_TOKEN: token },
      cwd,
      logFile,
      ready: async () => listening() !== undefined,
    });
  const daemon = await belongings.take(what, start, async (had) => (had.running() ? had.end("SIGTERM", 40_000) : KEPT));
  return { daemon, listening: listening() as string };
}

function only(names: string[]): NodeJS.ProcessEnv {
  return Object.fromEntries(names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])));
}
