import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { startDaemon } from "./daemon";
import { IMAGE_FILE, newStageFolder, prefixOf, removeLeftovers } from "./demo-cleanup";
import { removeContainers, removeImage } from "./demo-docker";
import type { DemoHosts } from "./demo-hosts";
import { startDemoRegistry } from "./demo-registry";
import { NOT_OURS, type Resources } from "./demo-resources";
import { note } from "./demo-terminal";
import { ensureEngine } from "./engine";

const PROGRAM = path.resolve(__dirname, "../dist/bin/docker-server.js");

/** Everything that a part of the demo uses. */
export interface Stage {
  resources: Resources;
  /** Name prefix of the demo's containers; no other container has it. */
  prefix: string;
  /** An image with a shell, in a registry that this machine's engine reaches. */
  image: string;
  /** A folder for files of the demo. */
  folder: string;
  /** The file of that image's only layer. */
  layerFile: string;
  /** Three simulated hosts, or the reason why there are none. */
  hosts: Promise<DemoHosts | string>;
  /** The three nodes stay after the demo until a signal ends it. */
  stays: boolean;
}

export interface DemoServer {
  url: string;
  token: string;
}

/** How and where a server is started. */
export interface ServerStart {
  /** Its name in messages. */
  label: string;
  /** The node's name. */
  name: string;
  /** Its working folder, which is created. */
  cwd: string;
  token: string;
  args: string[];
  env: NodeJS.ProcessEnv;
  /** Command in front of the program's, such as `nsenter …`. */
  prefix?: string[];
}

/** Provides an engine, a registry with an image, and a prefix for container names; all are removed at the end. */
export async function setStage(resources: Resources): Promise<Omit<Stage, "hosts" | "stays">> {
  const host = process.env.DOCKER_HOST;
  if (host && !host.startsWith("unix:")) throw new Error(`the demo needs an engine on this machine, not DOCKER_HOST=${host}`);
  const engine = await resources.acquire("Docker engine of the demo", ensureEngine, async ({ started, stop }) =>
    started ? stop() : NOT_OURS,
  );
  note(engine.started ? "No Docker engine answered here: one was started." : "A Docker engine answers here: it is used.");

  await removeLeftovers();
  const folder = await resources.acquire("folder of the demo", newStageFolder, async (created) =>
    rmSync(created, { recursive: true, force: true }),
  );
  const layerFile = path.join(folder, "layer.tar");
  const newRegistry = () => startDemoRegistry(layerFile);
  const { image } = await resources.acquire("registry of the demo", newRegistry, (registry) => registry.stop());
  note(`An image of busybox was made, and a registry on this machine offers it: ${image}`);
  writeFileSync(path.join(folder, IMAGE_FILE), image);
  await resources.acquire("image of the demo", () => image, removeImage);
  const prefix = await resources.acquire("containers of the demo", () => prefixOf(folder), removeContainers);
  return { resources, prefix, image, folder, layerFile };
}

/** Starts the built server with its own token; `name` is the node's. */
export async function startDemoServer({ resources, folder }: Stage, name: string): Promise<DemoServer> {
  const token = newToken();
  const args = ["--host", "127.0.0.1", "--port", "0"];
  const env = only(["DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"]);
  const start = { label: "server of the demo", name, cwd: path.join(folder, name), token, args, env };
  return { url: (await startServer(resources, start)).listening, token };
}

export const newToken = () => randomBytes(24).toString("base64url");

/** Starts the built server and waits until it listens. Returns its process and the URL that it logs. */
export async function startServer(resources: Resources, { label, name, cwd, token, args, env, prefix = [] }: ServerStart) {
  mkdirSync(cwd, { recursive: true });
  const logFile = path.join(cwd, "output.log");
  const listening = () => /listening on (http:\S+)/.exec(readFileSync(logFile, "utf8"))?.[1];
  const [command = "", ...rest] = [...prefix, process.execPath, PROGRAM, ...args, "--node_name", name];
  const start = () =>
    startDaemon({
      name: "docker-server",
      command,
      args: rest,
      // The settings of the user's environment don't apply. The token isn't a flag, because every user can read the process list.
      env: { ...only(["PATH", "HOME"]), ...env, DS_TOKEN: token },
      cwd,
      logFile,
      ready: async () => listening() !== undefined,
    });
  const daemon = await resources.acquire(label, start, async (server) => (server.running() ? server.end("SIGTERM", 40_000) : NOT_OURS));
  return { daemon, listening: listening() as string };
}

function only(names: string[]): NodeJS.ProcessEnv {
  return Object.fromEntries(names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])));
}
