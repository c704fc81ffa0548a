import path from "node:path";
import { type Daemon, startDaemon } from "../../scripts/daemon";
import { run, until } from "../../scripts/process";
import { takePlace } from "./bed";
import { accepts, freePorts } from "./ports";

/** A server of the test bed that tests kill, freeze and restart; its port stays the same. */
export interface FlakyServer {
  port: number;
  /** Kills it, if it runs. */
  kill(): Promise<void>;
  /** Starts it again, without its data. */
  restart(): Promise<void>;
  /** Stops it with SIGSTOP: it keeps its connections and never answers. */
  freeze(): void;
  thaw(): void;
  /** Ends it and removes its files. Safe to call twice. */
  stop(): Promise<void>;
}

/**
 * Starts a Redis server on 127.0.0.1 that stores nothing on disk.
 * @param more another address of this machine to listen on, without a password
 */
export async function startRedis(more?: string): Promise<FlakyServer> {
  const bound = ["127.0.0.1", ...(more === undefined ? [] : [more, "--protected-mode", "no"])];
  const server = await flakyServer("redis", "redis-server", (port, folder) => {
    return ["--port", String(port), "--bind", ...bound, "--save", "", "--dir", folder];
  });
  return server;
}

/** Starts a Redis Cluster of one node on 127.0.0.1, which has all hash slots. */
export async function startRedisCluster(): Promise<FlakyServer> {
  const server = await flakyServer("redis", "redis-server", (port, folder) => {
    return ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder, "--cluster-enabled", "yes"];
  });
  await run("redis-cli", ["-p", String(server.port), "cluster", "addslotsrange", "0", "16383"]);
  const isReady = async () => (await run("redis-cli", ["-p", String(server.port), "cluster", "info"])).stdout.includes("cluster_state:ok");
  if (!(await until(isReady, 20_000))) throw new Error("the Redis Cluster has no state ok");
  return server;
}

/**
 * Starts a server on a free port of 127.0.0.1.
 * @param kind of its place on the test bed
 * @param args of the command, for its port and folder
 */
export async function flakyServer(kind: string, command: string, args: (port: number, folder: string) => string[]): Promise<FlakyServer> {
  const place = await takePlace(kind);
  const [port] = (await freePorts(1)) as [number];
  let daemon: Daemon | undefined;
  const start = async () => {
    daemon = await startDaemon({
      command,
      args: args(port, place.folder),
      cwd: place.folder,
      logFile: path.join(place.folder, `${kind}.log`),
      ready: () => accepts(port),
    });
  };
  const kill = async () => {
    await daemon?.end("SIGKILL");
    daemon = undefined;
  };
  try {
    await start();
  } catch (error) {
    await place.release();
    throw error;
  }
  return {
    port,
    kill,
    restart: start,
    freeze: () => daemon?.signal("SIGSTOP"),
    thaw: () => daemon?.signal("SIGCONT"),
    stop: async () => {
      await kill();
      await place.release();
    },
  };
}
