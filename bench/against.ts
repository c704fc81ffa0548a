import { randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import autocannon from "autocannon";
import { type Daemon, startDaemon } from "../scripts/daemon";
import { answers } from "../scripts/process";
import { buildEarlier } from "../test/support/earlier-build";
import { type Engine, startEngine } from "../test/support/engine";
import { importBusybox } from "../test/support/images";
import { PROGRAM, startServer, type TestServer } from "../test/support/server";
import { startWeb } from "../test/support/web-container";
import { CREDENTIALS } from "./bed";
import { compareNumbers, timed } from "./compare";
import { demultiplex, HttpClient } from "./http-client";
import { nginxUrl, startNginx } from "./proxy";
import type { AgainstRow } from "./report";
import { residentMegabytes, type StartedProcess, startTimed } from "./start";

const BARE_SERVER = path.join(__dirname, "bare-server.js");
const CONTAINERS = 20;
const CONNECTIONS = 16;
const LOAD_SECONDS = 1;
const LOAD_ROUNDS = 5;
const STARTS = 7;
const MEMORY_ROUNDS = 2;
const IDLE_MS = 2000;
/** Lists before the second look at the memory. */
const MEMORY_LOAD_SECONDS = 10;
const EXECS = 40;
const DELETES = 30;
const SMALL_BODY = "/bytes?size=1000";
const PORTS = { earlier: 1717, now: 1718, answers: 1719, relay: 1720 };
/** Headers that node:http adds itself. */
const OWN_HEADERS = new Set(["date", "connection", "keep-alive"]);

/** The two builds, on one engine and in its network namespace. */
interface Sides {
  engine: Engine;
  programs: { earlier: string; now: string };
}

/**
 * Builds an earlier revision and measures it and the present build in turns, each beside what limits it.
 * @param revision as git knows it
 */
export async function benchAgainst(revision: string): Promise<AgainstRow[]> {
  const sources = mkdtempSync(path.join(tmpdir(), "docker-server-earlier-"));
  const engine = await startEngine({ name: "bench" });
  try {
    const dist = await buildEarlier(sources, { revision, hasOwnPackages: true });
    await importBusybox(engine);
    for (let made = 0; made < CONTAINERS; made++) await engine.docker(["create", "--label", `number=${made}`, "busybox"]);
    const sides: Sides = { engine, programs: { earlier: path.join(dist, "bin/docker-server.js"), now: PROGRAM } };
    return [...(await benchStarts(sides)), ...(await benchRequests(sides))];
  } finally {
    await engine.stop();
    rmSync(sources, { recursive: true, force: true });
  }
}

async function startSide({ engine, programs }: Sides, side: "earlier" | "now"): Promise<TestServer> {
  const folder = path.join(engine.folder, side);
  mkdirSync(folder);
  return startServer({ engine, folder, program: programs[side], host: engine.address, port: PORTS[side], inside: engine.inside([]) });
}

/** Starts a server of node:http alone. @param from a file of answers, or the URL to relay to */
async function startBare({ engine }: Sides, port: number, kind: "answers" | "relay", from: string): Promise<Daemon> {
  const [command = "", ...args] = engine.inside([process.execPath, BARE_SERVER, engine.address, `${port}`, kind, from]);
  const ready = () => answers({ host: engine.address, port, path: "/open" });
  return startDaemon({ command, name: "bare-server", args, logFile: path.join(engine.folder, `bare-${kind}.log`), ready });
}

/** Starts, and the memory of servers that do nothing else. */
async function benchStarts({ engine, programs }: Sides): Promise<AgainstRow[]> {
  const file = path.join(engine.folder, "one-answer.json");
  writeFileSync(file, JSON.stringify({ "/": { headers: {}, body: "" } }));
  const starts = {
    earlier: () => startTimed(engine, programs.earlier),
    now: () => startTimed(engine, programs.now),
    limit: () => startTimed(engine, BARE_SERVER, (port) => ["127.0.0.1", `${port}`, "answers", file]),
  };
  const compare = async (title: string, rounds: number, unit: AgainstRow["unit"], look: (started: StartedProcess) => Promise<number>) => {
    const measure = async (start: () => Promise<StartedProcess>) => {
      const started = await start();
      const value = await look(started);
      await started.end();
      return value;
    };
    const medians = await compareNumbers(title, rounds, {
      earlier: () => measure(starts.earlier),
      now: () => measure(starts.now),
      limit: () => measure(starts.limit),
    });
    return { title, unit, limitedBy: "bare node:http", ...medians };
  };
  const idle = async ({ pid }: StartedProcess) => {
    await sleep(IDLE_MS);
    return residentMegabytes(pid);
  };
  const afterLists = async (started: StartedProcess) => {
    await rateOf(`${started.url}/`, MEMORY_LOAD_SECONDS);
    return idle(started);
  };
  return [
    await compare("from start to first answer", STARTS, "ms", async ({ startMs }) => startMs),
    await compare("memory when idle", MEMORY_ROUNDS, "MB", idle),
    await compare(`memory after ${MEMORY_LOAD_SECONDS} s of lists, ${CONNECTIONS} at a time`, MEMORY_ROUNDS, "MB", afterLists),
  ];
}

/** Requests to both builds, which run side by side. */
async function benchRequests(sides: Sides): Promise<AgainstRow[]> {
  const { engine } = sides;
  const running: Pick<Daemon, "end">[] = [];
  try {
    const earlier = await startSide(sides, "earlier");
    running.push(earlier.process);
    const now = await startSide(sides, "now");
    running.push(now.process);
    const file = path.join(engine.folder, "answers.json");
    writeFileSync(file, JSON.stringify({ "/": await answerOf(now, "/"), "/health": await answerOf(now, "/health") }));
    running.push(await startBare(sides, PORTS.answers, "answers", file));
    const bare = `http://${engine.address}:${PORTS.answers}`;
    const rows: AgainstRow[] = [];
    for (const target of ["/", "/health"]) {
      const title = `GET ${target === "/" ? `/ of ${CONTAINERS} containers` : target}, ${CONNECTIONS} at a time`;
      const sideUrls = { earlier: earlier.url + target, now: now.url + target, limit: bare + target };
      rows.push(await compareRates(title, "bare node:http", sideUrls));
    }
    const web = `web-${randomUUID().slice(0, 8)}`;
    await startWeb(engine, web);
    const { upstream } = (await now.request("GET", `/proxy/${web}`)).json;
    running.push(await startBare(sides, PORTS.relay, "relay", upstream));
    running.push(await startNginx(engine, upstream));
    const proxied = { earlier: `${earlier.url}/proxy/${web}${SMALL_BODY}`, now: `${now.url}/proxy/${web}${SMALL_BODY}` };
    const title = `proxy, 1 kB kept alive, ${CONNECTIONS} at a time`;
    const relayUrl = `http://${engine.address}:${PORTS.relay}${SMALL_BODY}`;
    rows.push(await compareRates(title, "bare node:http relay", { ...proxied, limit: relayUrl }));
    rows.push(await compareRates(title, "nginx, 1 worker", { ...proxied, limit: nginxUrl(engine) + SMALL_BODY }));
    return [...rows, ...(await benchEngineCalls(engine, earlier, now))];
  } finally {
    for (const each of running.reverse()) await each.end("SIGTERM", 5000);
  }
}

/** An answer of the present build, for a server of node:http alone to repeat. */
async function answerOf({ request }: TestServer, target: string): Promise<{ headers: Record<string, string>; body: string }> {
  const { headers, text } = await request("GET", target);
  return { headers: Object.fromEntries([...headers].filter(([name]) => !OWN_HEADERS.has(name))), body: text };
}

async function compareRates(title: string, limitedBy: string, urls: Record<"earlier" | "now" | "limit", string>): Promise<AgainstRow> {
  const medians = await compareNumbers(title, LOAD_ROUNDS, {
    earlier: () => rateOf(urls.earlier),
    now: () => rateOf(urls.now),
    limit: () => rateOf(urls.limit),
  });
  return { title, unit: "requests/s", limitedBy, ...medians };
}

/** Requests a second. */
async function rateOf(url: string, duration = LOAD_SECONDS): Promise<number> {
  const result = await autocannon({ url, headers: CREDENTIALS, connections: CONNECTIONS, duration });
  if (result.non2xx + result.errors + result.timeouts > 0) throw new Error(`requests to ${url} failed`);
  return result.requests.total / result.duration;
}

async function benchEngineCalls(engine: Engine, ...servers: [earlier: TestServer, now: TestServer]): Promise<AgainstRow[]> {
  const [earlier, now] = servers.map(({ port }) => new HttpClient({ host: engine.address, port }, CREDENTIALS)) as [HttpClient, HttpClient];
  const raw = new HttpClient({ socketPath: engine.socket });
  const compare = async (title: string, rounds: number, sides: Record<"earlier" | "now" | "limit", () => Promise<number>>) => ({
    title,
    unit: "ms" as const,
    limitedBy: "Engine API",
    ...(await compareNumbers(title, rounds, sides)),
  });
  const make = async (start: boolean) => {
    const { Id } = await raw.askJson("POST", "/containers/create", { Image: "busybox", Cmd: ["sleep", "600"] });
    if (start) await raw.ask("POST", `/containers/${Id}/start`);
    return Id as string;
  };
  const rows: AgainstRow[] = [];
  try {
    const id = await make(true);
    const command = ["echo", "hello"];
    rows.push(
      await compare("exec", EXECS, {
        earlier: () => timed({ work: () => earlier.ask("POST", `/${id}`, { data: command }) }),
        now: () => timed({ work: () => now.ask("POST", `/${id}`, { data: command }) }),
        limit: () => timed({ work: () => rawExec(raw, id, command) }),
      }),
    );
    for (const start of [true, false]) {
      const remove = (client: HttpClient, target: (made: string) => string) => () =>
        timed({ prepare: () => make(start), work: (made) => client.ask("DELETE", target(made)) });
      rows.push(
        await compare(`delete, ${start ? "running" : "stopped"}`, DELETES, {
          earlier: remove(earlier, (made) => `/${made}`),
          now: remove(now, (made) => `/${made}`),
          limit: remove(raw, (made) => `/containers/${made}?force=1`),
        }),
      );
    }
    return rows;
  } finally {
    for (const client of [earlier, now, raw]) client.close();
  }
}

/** An exec with its output and its exit code. */
async function rawExec(raw: HttpClient, id: string, command: string[]): Promise<void> {
  const options = { Cmd: command, AttachStdout: true, AttachStderr: true };
  const { Id } = await raw.askJson("POST", `/containers/${id}/exec`, options);
  demultiplex(await raw.ask("POST", `/exec/${Id}/start`, { Detach: false, Tty: false }));
  await raw.askJson("GET", `/exec/${Id}/json`);
}
