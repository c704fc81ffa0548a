import { randomUUID } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import autocannon from "autocannon";
import WebSocket from "ws";
import { type Daemon, startDaemon } from "../scripts/daemon";
import { answers } from "../scripts/process";
import { startCluster, type TestNode } from "../test/support/cluster";
import type { Engine } from "../test/support/engine";
import { residentMemory } from "../test/support/single-node";
import { startWeb } from "../test/support/web-container";
import { CREDENTIALS } from "./bed";
import { compareNumbers } from "./compare";
import type { AbsoluteMeasurement, ProxyRow } from "./report";

const ROUNDS = 5;
const LOAD_SECONDS = 2;
const CONNECTIONS = 32;
const NGINX_PORT = 8080;
const SMALL_BYTES = 1000;
const LARGE_BYTES = 10_000_000;
/** Sequential large bodies per round. */
const LARGE_COUNT = 20;
const MESSAGE_COUNT = 5000;
const HUGE_BYTES = 5_000_000_000;

interface ProxySide {
  url: string;
}

/** Compares this server, directly and through a peer, with nginx in front of the same container. */
export async function benchProxy(): Promise<{ rows: ProxyRow[]; own: AbsoluteMeasurement[] }> {
  const cluster = await startCluster({ size: 2 });
  let nginx: Daemon | undefined;
  try {
    const [owner, peer] = cluster.nodes as [TestNode, TestNode];
    const web = `web-${randomUUID().slice(0, 8)}`;
    await startWeb(owner.engine, web);
    const { upstream } = (await owner.request("GET", `/proxy/${web}`)).json;
    nginx = await startNginx(owner.engine, upstream);
    const sides = {
      ours: { url: `${owner.server.url}/proxy/${web}` },
      viaPeer: { url: `${peer.server.url}/proxy/${web}` },
      nginx: { url: nginxUrl(owner.engine) },
    };
    const measures: [title: string, unit: string, measure: (side: ProxySide) => Promise<number>, target: number][] = [
      ["1 kB bodies, kept alive", "requests/s", smallRate, 0.25],
      ["10 MB down", "MB/s", (side) => largeRate(side, "GET"), 0.8],
      ["10 MB up", "MB/s", (side) => largeRate(side, "PUT"), 0.8],
      ["WebSocket round trips", "messages/s", messageRate, 0.25],
    ];
    const rows: ProxyRow[] = [];
    for (const [title, unit, measure, target] of measures) {
      const medians = await compareNumbers(title, ROUNDS, {
        ours: () => measure(sides.ours),
        viaPeer: () => measure(sides.viaPeer),
        nginx: () => measure(sides.nginx),
      });
      rows.push({ title, unit, ...medians, target });
    }
    const own: AbsoluteMeasurement = {
      title: "memory growth while 5 GB pass through",
      value: await memoryGrowthMb(owner, sides.ours),
      unit: "MB",
      atMost: 100,
    };
    return { rows, own: [own] };
  } finally {
    await nginx?.end("SIGTERM", 5000);
    await cluster.stop();
  }
}

export const nginxUrl = ({ address }: Engine): string => `http://${address}:${NGINX_PORT}`;

/** Starts nginx with upstream keep-alive, no buffering on disk, and WebSocket upgrades, in the network namespace of an engine. */
export async function startNginx(engine: Engine, upstream: string): Promise<Daemon> {
  const folder = path.join(engine.folder, "nginx");
  mkdirSync(folder);
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${folder}/${name};`);
  const config = `
    worker_processes 1; pid ${folder}/pid; daemon off; error_log ${folder}/error.log;
    events { worker_connections 1024; }
    http {
      access_log ${folder}/access.log; ${paths.join(" ")}
      map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
      upstream web { server ${new URL(upstream).host}; keepalive 64; }
      server {
        listen ${engine.address}:${NGINX_PORT}; client_max_body_size 0; keepalive_requests 1000000;
        location / {
          proxy_pass http://web; proxy_http_version 1.1; proxy_request_buffering off; proxy_max_temp_file_size 0;
          proxy_set_header Connection $connection_upgrade; proxy_set_header Upgrade $http_upgrade;
        }
      }
    }`;
  const file = path.join(folder, "nginx.conf");
  writeFileSync(file, config);
  const [command = "", ...args] = engine.inside(["nginx", "-c", file, "-p", folder]);
  const ready = () => answers({ host: engine.address, port: NGINX_PORT, path: "/open" });
  return startDaemon({
    command,
    name: "nginx",
    args,
    env: { PATH: process.env.PATH },
    cwd: folder,
    logFile: path.join(folder, "out.log"),
    ready,
  });
}

async function smallRate({ url }: ProxySide): Promise<number> {
  const options = { url: `${url}/bytes?size=${SMALL_BYTES}`, headers: CREDENTIALS, connections: CONNECTIONS, duration: LOAD_SECONDS };
  const { non2xx, errors, timeouts, requests, duration } = await autocannon(options);
  if (non2xx + errors + timeouts > 0) throw new Error(`requests to ${url} failed`);
  return requests.total / duration;
}

async function largeRate({ url }: ProxySide, method: "GET" | "PUT"): Promise<number> {
  const agent = new http.Agent({ keepAlive: true });
  const body = method === "PUT" ? Buffer.alloc(LARGE_BYTES) : undefined;
  const start = performance.now();
  for (let at = 0; at < LARGE_COUNT; at++)
    await drainResponse(`${url}${body ? "/sink" : `/bytes?size=${LARGE_BYTES}`}`, method, agent, body);
  const seconds = (performance.now() - start) / 1000;
  agent.destroy();
  return (LARGE_COUNT * LARGE_BYTES) / 1e6 / seconds;
}

/** Reads and discards a response. @returns its size in bytes */
function drainResponse(url: string, method: string, agent: http.Agent, body?: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { ...CREDENTIALS, ...(body ? { "Content-Length": body.length } : {}) };
    const request = http.request(url, { method, agent, headers }, (response) => {
      let bytes = 0;
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
      });
      response.on("end", () => resolve(bytes)).on("error", reject);
      if (response.statusCode !== 200) reject(new Error(`${method} ${url}: ${response.statusCode}`));
    });
    request.on("error", reject).end(body);
  });
}

async function messageRate({ url }: ProxySide): Promise<number> {
  const socket = new WebSocket(`${url.replace("http", "ws")}/`, { headers: CREDENTIALS, perMessageDeflate: false });
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  const start = performance.now();
  for (let at = 0; at < MESSAGE_COUNT; at++) {
    const echo = new Promise((resolve) => socket.once("message", resolve));
    socket.send("ping");
    await echo;
  }
  const seconds = (performance.now() - start) / 1000;
  socket.terminate();
  return MESSAGE_COUNT / seconds;
}

/** Peak growth of the server's memory during a large download, in MB. */
async function memoryGrowthMb({ server }: TestNode, { url }: ProxySide): Promise<number> {
  const before = residentMemory(server.process.pid);
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, residentMemory(server.process.pid));
  }, 100);
  const agent = new http.Agent();
  await drainResponse(`${url}/bytes?size=${HUGE_BYTES}`, "GET", agent);
  clearInterval(timer);
  return most - before;
}
