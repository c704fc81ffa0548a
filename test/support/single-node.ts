import { readdirSync, readFileSync } from "node:fs";
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
  /** Runs `docker …` against the engine; its standard output, trimmed. Throws an Error with what it said if it fails. */
  docker(...args: string[]): Promise<string>;
  /** What `docker inspect` says of a container. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into any part of it
  inspect(id: string): Promise<any>;
  /** Names of all containers that the engine has, sorted. */
  names(): Promise<string[]>;
  stop(): Promise<void>;
}

/**
 * Starts the server in front of a leased engine.
 * @param options.args further flags of the server
 * @param options.inside the server is on the engine's own host, whose loopback it then has
 * @param options.ownEngine the suite kills, freezes or cuts off its engine
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

/** Runs `docker …` against an engine; its standard output, trimmed. Throws an Error with what it said if it fails. */
export async function dockerOf(engine: Engine, args: string[]): Promise<string> {
  const { code, stdout, stderr } = await engine.docker(args);
  if (code !== 0) throw new Error(`docker ${args.join(" ")}: ${stderr.trim()}`);
  return stdout.trim();
}

/** What curl got: the status, the headers by lower-case name, and the body. */
export interface CurlAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of many shapes
  json: any;
}

/** The header that the documented examples send, for the test token. */
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

/** Connections that an engine has open at its socket at the moment, whoever made them. */
export function openEngineConnections(engine: Engine): number {
  const CONNECTED = "03";
  const rows = readFileSync("/proc/net/unix", "utf8").split("\n");
  return rows.map((row) => row.trim().split(/\s+/)).filter((row) => row[7] === engine.socket && row[5] === CONNECTED).length;
}

/** Memory that a process has resident, in MB. */
export function residentMemory(pid: number): number {
  const found = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(found?.[1]) / 1000;
}

/** All that a server has logged: the files of its log folder and what it printed. */
export function everythingLogged(server: TestServer): string {
  const folder = path.join(server.folder, "logs");
  const files = readdirSync(folder).map((name) => readFileSync(path.join(folder, name), "utf8"));
  return [...files, server.output()].join("\n");
}

/** The entries of a server's audit log so far. */
// biome-ignore lint/suspicious/noExplicitAny: entries have many fields
export function auditEntries(server: TestServer): any[] {
  const file = path.join(server.folder, "logs/actions.jsonl");
  const lines = readFileSync(file, "utf8").split("\n").filter(Boolean);
  return lines.map((line) => JSON.parse(line));
}

/**
 * Sends bytes as they are over a connection of their own and gathers what comes until the server closes it, or until
 * `patience` ms have passed without an end.
 * @param parts written one after the other, 100 ms apart; each as soon as the server has not closed the connection
 */
export function rawExchange(
  port: number,
  parts: Iterable<string | Buffer>,
  patience = 10_000,
): Promise<{ answer: string; closed: boolean }> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    const received: Buffer[] = [];
    const source = parts[Symbol.iterator]();
    const writer = setInterval(writeNext, 100);
    const limit = setTimeout(() => finish(false), patience);
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
