import { existsSync, readdirSync, readFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { run } from "../../scripts/process";
import { type Engine, leaseEngine, startEngine } from "./engine";
import { containersOf, engineApi } from "./engine-api";
import { importBusybox } from "./images";
import { startServer, type TestServer, TOKEN } from "./server";

/** One machine: an engine with the image `busybox`, and the built server in front of it. */
export interface OneNode {
  engine: Engine;
  server: TestServer;
  request: TestServer["request"];
  /** Runs `docker …` against the engine. Returns its standard output, trimmed; throws an Error with its message if it fails. */
  docker(...args: string[]): Promise<string>;
  /** A container as `docker inspect` shows it. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into any part of it
  inspect(id: string): Promise<any>;
  /** Names of all containers of the engine, sorted. */
  names(): Promise<string[]>;
  stop(): Promise<void>;
}

/**
 * Starts the server in front of a leased engine.
 * @param options.args further flags of the server
 * @param options.inside runs the server in the engine's network namespace, with its loopback
 * @param options.ownEngine starts an engine for this suite, which kills, freezes or disconnects it
 */
export async function startNode(options: {
  name: string;
  args?: string[];
  env?: NodeJS.ProcessEnv;
  inside?: boolean;
  ownEngine?: boolean;
}): Promise<OneNode> {
  const { name } = options;
  const engine = await (options.ownEngine ? startEngine({ name }) : leaseEngine({ name }));
  try {
    await importBusybox(engine);
    const place = options.inside ? { host: engine.address, port: 1717, inside: engine.inside([]) } : {};
    const server = await startServer({ engine, args: options.args ?? [], env: options.env ?? {}, ...place });
    const docker = (...args: string[]) => dockerOf(engine, args);
    return {
      engine,
      server,
      request: server.request,
      docker,
      async inspect(id) {
        const found = await engineApi(engine, "GET", `/containers/${encodeURIComponent(id)}/json`);
        if (found === undefined) throw new Error(`No such container: ${id}`);
        return found;
      },
      names: async () => (await containersOf(engine)).map(({ name }) => name).sort(),
      async stop() {
        await server.stop();
        await engine.stop();
      },
    };
  } catch (error) {
    await engine.stop();
    throw error;
  }
}

/** Runs `docker …` against an engine. Returns its standard output, trimmed; throws an Error with its message if it fails. */
export async function dockerOf(engine: Engine, args: string[]): Promise<string> {
  const { code, stdout, stderr } = await engine.docker(args);
  if (code !== 0) throw new Error(`docker ${args.join(" ")}: ${stderr.trim()}`);
  return stdout.trim();
}

/** A response to curl: the status, the headers by lower-case name, and the body. */
export interface CurlAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of many shapes
  json: any;
}

/** The documented examples' header, with the test token. */
export const BASIC = `Authorization: Basic ${Buffer.from(TOKEN).toString("base64")}`;

/** Runs the real curl with these arguments. */
export async function curl(...args: string[]): Promise<CurlAnswer> {
  const { code, stdout, stderr } = await run("curl", ["--silent", "--show-error", "--include", "--max-time", "30", ...args]);
  if (code !== 0) throw new Error(`curl exited with ${code}: ${stderr}`);
  const end = stdout.indexOf("\r\n\r\n");
  const [first = "", ...lines] = stdout.slice(0, end).split("\r\n");
  const headers = Object.fromEntries(
    lines.map((line) => [line.split(":")[0]?.toLowerCase() ?? "", line.slice(line.indexOf(":") + 1).trim()]),
  );
  const body = stdout.slice(end + 4);
  return {
    status: Number(first.split(" ")[1]),
    headers,
    body,
    json: body.startsWith("{") || body.startsWith("[") ? JSON.parse(body) : undefined,
  };
}

/** The number of open connections at an engine's socket, of all clients. */
export function openEngineConnections(engine: Engine): number {
  const CONNECTED = "03";
  const rows = readFileSync("/proc/net/unix", "utf8").split("\n");
  return rows.map((row) => row.trim().split(/\s+/)).filter((row) => row[7] === engine.socket && row[5] === CONNECTED).length;
}

/** Resident memory of a process, in MB. */
export function residentMemory(pid: number): number {
  const found = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(found?.[1]) / 1000;
}

/** Everything that a server logged: the files of its log folder and its output. */
export function everythingLogged(server: TestServer): string {
  const folder = path.join(server.folder, "logs");
  const files = readdirSync(folder).map((name) => readFileSync(path.join(folder, name), "utf8"));
  return [...files, server.output()].join("\n");
}

/** The entries of a server's audit log so far. */
// biome-ignore lint/suspicious/noExplicitAny: entries have many fields
export function auditEntries(server: TestServer): any[] {
  const file = path.join(server.folder, "logs/actions.jsonl");
  // It is there with the first lines, which are written after their responses.
  const lines = existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(0, -1) : [];
  return lines.map((line) => JSON.parse(line));
}

/**
 * Sends bytes unchanged over a new connection and collects the response until the server closes the connection, or until
 * `timeoutMs` has passed.
 * @param parts written one after the other, 100 ms apart, until the server closes the connection
 */
export function rawExchange(
  port: number,
  parts: Iterable<string | Buffer>,
  timeoutMs = 10_000,
): Promise<{ answer: string; closed: boolean }> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    const received: Buffer[] = [];
    const source = parts[Symbol.iterator]();
    const writer = setInterval(writeNext, 100);
    const limit = setTimeout(() => finish(false), timeoutMs);
    function writeNext() {
      const { value, done } = source.next();
      if (done) clearInterval(writer);
      else socket.write(value);
    }
    function finish(closed: boolean) {
      clearInterval(writer);
      clearTimeout(limit);
      socket.destroy();
      resolve({ answer: Buffer.concat(received).toString("latin1"), closed });
    }
    socket.on("connect", writeNext);
    socket.on("data", (chunk) => received.push(chunk));
    socket.on("error", () => undefined);
    socket.on("close", () => finish(true));
  });
}
