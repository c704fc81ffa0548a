import { randomUUID } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import autocannon from "autocannon";
import WebSocket from "ws";
import { type Daemon, startDaemon } from "../scripts/daemon";
import { answers } from "../scripts/process";
import { startCluster, type TestNode } from "../test/support/cluster";
import { residentMemory } from "../test/support/one-node";
import { startWeb } from "../test/support/web";
import { CREDENTIALS } from "./bed";
import { compareNumbers } from "./compare";
import type { Own, ProxyRow } from "./report";

const ROUNDS = 5;
const SECONDS = 2;
const CONNECTIONS = 32;
const NGINX_PORT = 8080;
const SMALL = 1000;
const LARGE = 10_000_000;
/** Large bodies one after the other, a round. */
const LARGE_COUNT = 20;
const MESSAGES = 5000;
const HUGE = 5_000_000_000;

interface Side {
  url: string;
}

/** This server, straight and through another node, and nginx in front of the same container. */
export async function benchProxy(): Promise<{ rows: ProxyRow[]; own: Own[] }> {
  const cluster = await startCluster({ size: 2 });
  let nginx: Daemon | undefined;
  try {
    const [holder, other] = cluster.nodes as [TestNode, TestNode];
    const web = `web-${randomUUID().slice(0, 8)}`;
    await startWeb(holder.engine, web);
    const { upstream } = (await holder.request("GET", `/proxy/${web}`)).json;
    nginx = await startNginx(holder, upstream);
    const sides = {
      ours: { url: `${holder.server.url}/proxy/${web}` },
      another: { url: `${other.server.url}/proxy/${web}` },
      nginx: { url: `http://${holder.engine.address}:${NGINX_PORT}` },
    };
    const measures: [what: string, unit: string, measure: (side: Side) => Promise<number>, target: number][] = [
      ["1 kB bodies, kept alive", "requests/s", smallRate, 0.25],
      ["10 MB down", "MB/s", (side) => largeRate(side, "GET"), 0.8],
      ["10 MB up", "MB/s", (side) => largeRate(side, "PUT"), 0.8],
      ["WebSocket, to and fro", "messages/s", messageRate, 0.25],
    ];
    const rows: ProxyRow[] = [];
    for (const [what, unit, measure, target] of measures) {
      const medians = await compareNumbers(what, ROUNDS, {
        ours: () => measure(sides.ours),
        another: () => measure(sides.another),
        nginx: () => measure(sides.nginx),
      });
      rows.push({ what, unit, ...medians, target });
    }
    const own: Own = {
      what: "memory that 5 GB take on their way through",
      value: await growth(holder, sides.ours),
      unit: "MB",
      atMost: 100,
    };
    return { rows, own: [own] };
  } finally {
    await nginx?.end("SIGTERM", 5000);
    await cluster.stop();
  }
}

/** nginx as it is set up for such a container: connections to it are kept, nothing is buffered on disk, WebSockets pass. */
async function startNginx({ engine }: TestNode, upstream: string): Promise<Daemon> {
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

async function smallRate({ url }: Side): Promise<number> {
  const options = { url: `${url}/bytes?size=${SMALL}`, headers: CREDENTIALS, connections: CONNECTIONS, duration: SECONDS };
  const { non2xx, errors, timeouts, requests, duration } = await autocannon(options);
  if (non2xx + errors + timeouts > 0) throw new Error(`requests to ${url} failed`);
  return requests.total / duration;
}

async function largeRate({ url }: Side, method: "GET" | "PUT"): Promise<number> {
  const agent = new http.Agent({ keepAlive: true });
  const body = method === "PUT" ? Buffer.alloc(LARGE) : undefined;
  const start = performance.now();
  for (let at = 0; at < LARGE_COUNT; at++) await wholeAnswer(`${url}${body ? "/sink" : `/bytes?size=${LARGE}`}`, method, agent, body);
  const seconds = (performance.now() - start) / 1000;
  agent.destroy();
  return (LARGE_COUNT * LARGE) / 1e6 / seconds;
}

/** Reads an answer and drops it; returns its size in bytes. */
function wholeAnswer(url: string, method: string, agent: http.Agent, body?: Buffer): Promise<number> {
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

async function messageRate({ url }: Side): Promise<number> {
  const socket = new WebSocket(`${url.replace("http", "ws")}/`, { headers: CREDENTIALS, perMessageDeflate: false });
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  const start = performance.now();
  for (let at = 0; at < MESSAGES; at++) {
    const echo = new Promise((resolve) => socket.once("message", resolve));
    socket.send("ping");
    await echo;
  }
  const seconds = (performance.now() - start) / 1000;
  socket.terminate();
  return MESSAGES / seconds;
}

/** MB by which the server's memory grows at most during a large download. */
async function growth({ server }: TestNode, { url }: Side): Promise<number> {
  const before = residentMemory(server.process.pid);
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, residentMemory(server.process.pid));
  }, 100);
  const agent = new http.Agent();
  await wholeAnswer(`${url}/bytes?size=${HUGE}`, "GET", agent);
  clearInterval(timer);
  return most - before;
}
