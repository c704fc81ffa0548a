import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Bed, HostPlace } from "./bed";
import { hasEnded } from "./bed-cleanup";
import { attachDaemon, type Daemon, startDockerd } from "./daemon";
import { type EngineKind, engineCommand } from "./engine-kind";
import { answers, type CommandResult, run, until } from "./process";

/** Name of the API socket in an engine's folder. */
const SOCKET = "docker.sock";
/** File with its process id in an engine's folder. */
const PID_FILE = "docker.pid";

/** A private Docker engine that simulates one host: own network namespace, own address, own folder. */
export interface Engine {
  name: string;
  kind: EngineKind;
  /** Path of its API socket. */
  socket: string;
  /** The same socket as a DOCKER_HOST value. */
  dockerHost: string;
  /** Path of its network namespace, as `nsenter --net=` takes it. */
  netns: string;
  /** Its IPv4 address; the root namespace and the other engines reach published ports there. */
  address: string;
  /** Its folder, which `stop()` removes. */
  folder: string;
  /** Process id of the current dockerd. */
  readonly pid: number;
  /** The command, prefixed so that it runs in the host's network namespace. */
  inside(command: string[]): string[];
  /** Ends dockerd (SIGKILL by default) and waits for its end. Its containers keep running after SIGKILL. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Stops the dockerd process with SIGSTOP: it accepts connections and never answers. Containers keep running. */
  freeze(): void;
  thaw(): void;
  /**
   * Ends dockerd with SIGKILL if it runs, starts it again and waits until it answers. The new dockerd stops the containers
   * that still run (up to 10 s for one that ignores SIGTERM), unless it has `--live-restore`.
   */
  restart(): Promise<void>;
  /** Disconnects the host's network. Its API socket is a file and keeps working. */
  linkDown(): void;
  linkUp(): void;
  /** Runs the docker CLI against this engine, without a shell and with its own empty configuration. */
  docker(args: string[], input?: string | Buffer): Promise<CommandResult>;
  /** Ends everything and removes every trace. Safe to call twice. */
  stop(): Promise<void>;
}

interface EngineOptions {
  name: string;
  kind?: EngineKind;
  args?: string[];
  env?: Record<string, string>;
}

/** An engine that stays up when its lease ends. */
export interface LeasedEngine extends Engine {
  handBack(): Promise<void>;
}

/**
 * Starts an engine on a new host of a bed; needs root on Linux. `name` is only a label; `kind` is `20.10` by default; `args` and
 * `env` are further arguments and environment variables of dockerd. Several engines can run at once, in several processes. Throws an Error with dockerd's last log lines if it
 * cannot start.
 */
export async function startBedEngine(bed: Bed, options: EngineOptions): Promise<Engine> {
  const place = await bed.takeHost();
  try {
    return await engineAt(bed, place, options);
  } catch (error) {
    await place.release();
    throw error;
  }
}

/**
 * Leases an engine that stays up after the lease: one that was handed back, with its contents, or a new one. `stop()`
 * removes it; `handBack()` leaves it to the next lease of any process.
 * @param owner id of the process at whose end the engine is removed (`Bed.removeHostsOf`)
 */
export async function leaseBedEngine(bed: Bed, owner: number, options: { name: string; kind: EngineKind }): Promise<LeasedEngine> {
  for (;;) {
    const place = await bed.leaseHost(owner, options.kind);
    try {
      const pidFile = path.join(place.folder, PID_FILE);
      const dockerd = existsSync(pidFile) ? attachDaemon(Number(readFileSync(pidFile, "utf8"))) : undefined;
      if (dockerd && !(await answers({ socketPath: path.join(place.folder, SOCKET), path: "/_ping" }))) {
        await place.release();
        continue;
      }
      return Object.assign(await engineAt(bed, place, { ...options, dockerd }), { handBack: place.handBack });
    } catch (error) {
      await place.release();
      throw error;
    }
  }
}

async function engineAt(bed: Bed, place: HostPlace, options: EngineOptions & { dockerd?: Daemon | undefined }): Promise<Engine> {
  const { name, kind = "20.10", args = [], env = {}, dockerd: running } = options;
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

  const pidFile = path.join(folder, PID_FILE);
  const start = async (): Promise<Daemon> => {
    const [command = "", ...commandArgs] = inside(
      engineCommand(kind, { folder, socket, cgroup: bed.cgroupOf(host), subnet: network.subnet, gateway: network.rootAddress, args }),
    );
    await startDockerd({
      socket,
      command: [command],
      args: commandArgs,
      env: { ...process.env, ...env, TMPDIR: temporary },
      logFile: path.join(folder, "dockerd.log"),
    });
    // The process that was started can be the parent of the engine.
    return attachDaemon(Number(readFileSync(pidFile, "utf8")));
  };
  let dockerd = running ?? (await start());
  const kill = async (signal: NodeJS.Signals) => {
    await dockerd.end(signal, 30_000);
    await endContainerd(path.join(folder, "exec/containerd/containerd.pid"));
  };

  return {
    name,
    kind,
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
 * Waits for the end of the containerd of a killed dockerd; the kernel kills it too. Removes its pid file, because the next dockerd
 * would take a zombie for a running containerd and wait for it until its timeout.
 */
async function endContainerd(pidFile: string): Promise<void> {
  if (!existsSync(pidFile)) return;
  const pid = Number(readFileSync(pidFile, "utf8"));
  if (!(await until(() => hasEnded(pid), 10_000))) throw new Error(`containerd ${pid} does not end`);
  rmSync(pidFile);
}
