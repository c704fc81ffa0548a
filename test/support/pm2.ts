import { mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { type CommandResult, run, runOrThrow } from "../../scripts/process";
import { takePlace } from "./bed";

const ROOT = path.resolve(__dirname, "../..");
const PM2 = path.join(ROOT, "node_modules/pm2/bin/pm2");

/** One process as pm2 lists it. */
export interface Pm2Process {
  pid: number;
  name: string;
  status: string;
  restarts: number;
  mode: string;
}

/** A separate pm2 daemon with its own home. */
export interface Pm2 {
  /** Its home folder, with its logs. */
  home: string;
  /** Path of `pm2.config.js` in the installed package. */
  config: string;
  /** Runs `pm2 …`, with further environment variables. */
  pm2(args: string[], env?: NodeJS.ProcessEnv): Promise<CommandResult>;
  list(): Promise<Pm2Process[]>;
  /** The text of one of its log files. */
  log(name: string): string;
  /** Ends it and removes its folder. Safe to call twice. */
  stop(): Promise<void>;
}

/** Packs this project, unpacks it as an installed package, and prepares a pm2 that doesn't run yet. */
export async function installPm2(): Promise<Pm2> {
  const place = await takePlace("pm2");
  try {
    const home = path.join(place.folder, "home");
    const installed = path.join(place.folder, "usr/lib/node_modules/docker-server");
    mkdirSync(installed, { recursive: true });
    const packed = (await runOrThrow("npm", ["pack", ROOT, "--pack-destination", place.folder])).trim();
    await runOrThrow("tar", ["-xf", path.join(place.folder, packed), "-C", installed, "--strip-components=1"]);
    const base = { PATH: process.env.PATH, HOME: place.folder, PM2_HOME: home, PM2_DISCRETE_MODE: "true" };
    const pm2 = (args: string[], env: NodeJS.ProcessEnv = {}) => run(process.execPath, [PM2, ...args], { env: { ...base, ...env } });
    return {
      home,
      config: path.join(installed, "pm2.config.js"),
      pm2,
      list: async () => parse((await pm2(["jlist"])).stdout),
      log: (name) => readFileSync(path.join(home, "logs", name), "utf8"),
      async stop() {
        await pm2(["kill"]);
        await place.release();
      },
    };
  } catch (error) {
    await place.release();
    throw error;
  }
}

interface Entry {
  pid: number;
  name: string;
  pm2_env: { status: string; restart_time: number; exec_mode: string };
}

function parse(stdout: string): Pm2Process[] {
  const entries: Entry[] = JSON.parse(stdout.slice(stdout.indexOf("[")));
  return entries.map(({ pid, name, pm2_env: { status, restart_time, exec_mode } }) => ({
    pid,
    name,
    status,
    restarts: restart_time,
    mode: exec_mode,
  }));
}
