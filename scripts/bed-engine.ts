import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Bed, HostPlace } from "./bed";
import { hasEnded } from "./bed-cleanup";
import { attachDaemon, type Daemon, startDockerd } from "./daemon";
import { answers, type CommandResult, run, until } from "./process";

/** Name of the API socket in an engine's folder. */
const SOCKET = "docker.sock";

/** A private Docker engine that simulates one host: own network namespace, own address, own folder. */
export interface Engine {
  name: string;
  /** Path of its API socket, and the same as a DOCKER_HOST value. */
  socket: string;
  dockerHost: string;
  /** Path of its network namespace, as `nsenter --net=` takes it. */
  netns: string;
  /** Its IPv4 address; the root namespace and the other engines reach published ports there. */
  address: string;
  /** Its folder, which `stop()` removes. */
  folder: string;
  /** Process id of the present dockerd. */
  readonly pid: number;
  /** Puts the words that run a command inside of the host's network in front of it. */
  inside(command: string[]): string[];
  /** Ends dockerd (SIGKILL unless told otherwise) and waits for its end. Its containers run on after SIGKILL. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Stops the dockerd process with SIGSTOP: connections are accepted and never answered. Containers run on. */
  freeze(): void;
  thaw(): void;
  /**
   * Ends dockerd with SIGKILL if it runs, starts it again and waits until it answers. It stops the containers that
   * are still there (up to 10 s for one that ignores SIGTERM), unless dockerd was given `--live-restore`.
   */
  restart(): Promise<void>;
  /** Pulls the host's network cable out. Its API socket is a file and works on. */
  linkDown(): void;
  linkUp(): void;
  /** Runs the docker CLI against this engine, without a shell and with empty settings of its own. */
  docker(args: string[], input?: string | Buffer): Promise<CommandResult>;
  /** Ends everything and removes every trace. Safe to call twice. */
  stop(): Promise<void>;
}

/** An engine that stays up when its lease ends. */
export interface LeasedEngine extends Engine {
  handBack(): Promise<void>;
}

/**
 * Starts an engine on a new host of a bed; needs root on Linux. `name` is only for people; `args` are further arguments of dockerd.
 * Several may run at once, in several processes. Throws an Error with dockerd's last log lines if it cannot start.
 */
export async function startBedEngine(bed: Bed, options: { name: string; args?: string[] }): Promise<Engine> {
  const place = await bed.takeHost();
  try {
    return await engineAt(bed, place, options);
  } catch (error) {
    await place.release();
    throw error;
  }
}

/**
 * Leases an engine that outlives the lease: one that was handed back, with whatever it was handed back with, or a new one. `stop()`
 * removes it; `handBack()` leaves it to the next lease of any process.
 * @param owner id of the process that it is removed with (`Bed.removeHostsOf`)
 */
export async function leaseBedEngine(bed: Bed, owner: number, name: string): Promise<LeasedEngine> {
  for (;;) {
    const place = await bed.leaseHost(owner);
    try {
      const pidFile = path.join(place.folder, "docker.pid");
      const dockerd = existsSync(pidFile) ? attachDaemon(Number(readFileSync(pidFile, "utf8"))) : undefined;
      if (dockerd && !(await answers({ socketPath: path.join(place.folder, SOCKET), path: "/_ping" }))) {
        await place.release();
        continue;
      }
      return Object.assign(await engineAt(bed, place, { name, dockerd }), { handBack: place.handBack });
    } catch (error) {
      await place.release();
      throw error;
    }
  }
}

async function engineAt(
  bed: Bed,
  place: HostPlace,
  { name, args = [], dockerd: running }: { name: string; args?: string[]; dockerd?: Daemon | undefined },
): Promise<Engine> {
  const { host, folder } = place;
  const { network } = bed;
  const netns = network.netnsFile(host);
  const socket = path.join(folder, SOCKET);
  const dockerHost = `unix://${socket}`;
  const inside = (command: string[]) => ["nsenter", `--net=${netns}`, ...command];
  const settings = path.join(folder, "daemon.json");
  const cliSettings = path.join(folder, "cli");
  const temporary = path.join(folder, "tmp");
  writeFileSync(settings, "{}");
  mkdirSync(cliSettings, { recursive: true });
  mkdirSync(temporary, { recursive: true });

  const start = () =>
    startDockerd({
      socket,
      prefix: inside([]),
      env: { ...process.env, TMPDIR: temporary },
      logFile: path.join(folder, "dockerd.log"),
      args: [
        ["--config-file", settings],
        ["--data-root", path.join(folder, "data")],
        ["--exec-root", path.join(folder, "exec")],
        ["--pidfile", path.join(folder, "docker.pid")],
        ["--host", dockerHost],
        ["--exec-opt", "native.cgroupdriver=cgroupfs"],
        ["--cgroup-parent", bed.cgroupOf(host)],
        ["--insecure-registry", network.subnet],
        args,
      ].flat(),
    });
  let dockerd = running ?? (await start());
  const kill = async (signal: NodeJS.Signals) => {
    await dockerd.end(signal, 30_000);
    await endContainerd(path.join(folder, "exec/containerd/containerd.pid"));
  };

  return {
    name,
    socket,
    dockerHost,
    netns,
    address: network.hostAddress(host),
    folder,
    get pid() {
      return dockerd.pid;
    },
    inside,
    kill: (signal = "SIGKILL") => kill(signal),
    freeze: () => dockerd.signal("SIGSTOP"),
    thaw: () => dockerd.signal("SIGCONT"),
    restart: async () => {
      await kill("SIGKILL");
      dockerd = await start();
    },
    linkDown: () => network.setLink(host, "down"),
    linkUp: () => network.setLink(host, "up"),
    docker: (command, input) =>
      run("docker", command, {
        input,
        env: { PATH: process.env.PATH, HOME: folder, DOCKER_HOST: dockerHost, DOCKER_CONFIG: cliSettings },
      }),
    stop: place.release,
  };
}

/**
 * Waits for the end of the containerd that a killed dockerd had started; the kernel kills it too. Its pid file goes,
 * because the next dockerd takes a process that nobody has waited for yet for alive and hopes for it in vain.
 */
async function endContainerd(pidFile: string): Promise<void> {
  if (!existsSync(pidFile)) return;
  const pid = Number(readFileSync(pidFile, "utf8"));
  if (!(await until(() => hasEnded(pid), 10_000))) throw new Error(`containerd ${pid} does not end`);
  rmSync(pidFile);
}
