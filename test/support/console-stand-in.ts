import { once } from "node:events";
import { readFileSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { type WebSocket, WebSocketServer } from "ws";
import { CONSOLE_CONTENT_SECURITY_POLICY, CONSOLE_FILES, CONSOLE_PAGE } from "../../lib/console/console-files";
import type { Container, Node } from "../../lib/console/public/format";

const FILES = path.resolve(__dirname, "../../dist/console");
const ASSETS = "/console/assets/";

/** The answers of a stand-in, by method and path, such as "GET /images", or by these and the query; a text is sent as it is, all else as JSON. */
export type Answers = Record<string, unknown>;

/** An answer that is an error. */
export class Refusal {
  constructor(
    readonly status: number,
    readonly message: string,
    readonly code = "",
  ) {}
}

export interface StandIn {
  url: string;
  /** What is answered from now on. */
  answers: Answers;
  /** The terminals that are open, the oldest first: each greets, and sends back what is typed. */
  terminals: Terminal[];
  stop(): Promise<void>;
}

export interface Terminal {
  /** of the upgrade */
  url: string;
  socket: WebSocket;
  /** the messages that came */
  received: { type: string; data?: string; cols?: number }[];
}

function openTerminal(socket: WebSocket, url: string, terminals: Terminal[]): void {
  const terminal: Terminal = { url, socket, received: [] };
  const write = (data: string) => socket.send(JSON.stringify({ type: "stdout", data, encoding: "utf8" }));
  terminals.push(terminal);
  socket.on("close", () => terminals.splice(terminals.indexOf(terminal), 1));
  socket.on("message", (bytes) => {
    const message = JSON.parse(String(bytes));
    terminal.received.push(message);
    if (message.type === "stdin") write(message.data);
  });
  write("shell $ ");
}

/** Starts a server that has the console's files and given answers, without Docker: for pools that no machine has. Any token is accepted. */
export async function startStandIn(answers: Answers): Promise<StandIn> {
  const server = http.createServer((request, response) => {
    const { pathname, search } = new URL(request.url ?? "", "http://localhost");
    const send = (type: string, body: string | Buffer) => response.writeHead(200, { "Content-Type": `${type}; charset=utf-8` }).end(body);
    if (pathname.startsWith(ASSETS)) {
      const name = pathname.slice(ASSETS.length);
      if (!CONSOLE_FILES.has(name)) return void response.writeHead(404).end("{}");
      return void send(name.endsWith(".css") ? "text/css" : "text/javascript", readFileSync(path.join(FILES, name)));
    }
    if (pathname.startsWith("/console")) {
      response.setHeader("Content-Security-Policy", CONSOLE_CONTENT_SECURITY_POLICY);
      return void send("text/html", CONSOLE_PAGE);
    }
    const key = `${request.method} ${decodeURIComponent(pathname)}`;
    const answer = standIn.answers[key + search] ?? standIn.answers[key] ?? new Refusal(404, "not here");
    if (answer instanceof Refusal)
      return void response.writeHead(answer.status, { "Content-Type": "application/json" }).end(JSON.stringify(answer));
    if (key === "POST /run") response.setHeader("X-Run-Sandbox", "warm;time=30;output=1000000;memory=500000000;cpus=1;pids=512;network=?0");
    if (typeof answer === "string" || Buffer.isBuffer(answer)) return void send("text/plain", answer);
    send("application/json", JSON.stringify(answer));
  });
  const upgrades = new WebSocketServer({ server });
  upgrades.on("connection", (socket, { url = "" }) => openTerminal(socket, url, standIn.terminals));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const stop = async () => {
    for (const { socket } of [...standIn.terminals]) socket.terminate();
    server.close();
    server.closeAllConnections();
  };
  const standIn: StandIn = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, answers, terminals: [], stop };
  return standIn;
}

const PERMISSIONS = ["read", "logs", "exec", "run", "containers", "images", "volumes", "files", "proxy", "nodes", "admin"];
const PROJECTS = 40;
const IMAGES = ["nginx:1.27", "redis:7", "postgres:16", "ghcr.io/example/shop/api:2026-01-31", "busybox"];

/** Answers of a pool of generated nodes and containers. Every tenth container has stopped; the last node does not answer. */
export function generatePool(nodeCount: number, containerCount: number): Answers {
  const nodes: Node[] = Array.from({ length: nodeCount }, (_, index) => ({
    name: `node-${index}`,
    reachable: index < nodeCount - 1,
    ...(index < nodeCount - 1 ? {} : { reason: "no answer within 2 s" }),
    load: (index % 100) / 100,
    cpu: (index % 90) / 100,
    memory: (index % 80) / 100,
    engine: "ok",
    version: "2.0.0",
    docker: "28.5.2",
    containers: Math.floor(containerCount / nodeCount),
    runs: { running: index % 3, waiting: 0 },
    accepting: true,
  }));
  const containers: Container[] = Array.from({ length: containerCount }, (_, index) => {
    const isRunning = index % 10 !== 9;
    return {
      id: index.toString(16).padStart(64, "0"),
      name: `web-${index}`,
      image: IMAGES[index % IMAGES.length] as string,
      command: "sh -c 'exec serve'",
      created: new Date(Date.UTC(2026, 0, 31) - index * 1000).toISOString(),
      state: isRunning ? "running" : "exited",
      status: isRunning ? "Up 3 hours (healthy)" : "Exited (0) 2 minutes ago",
      ports: [{ host_ip: "0.0.0.0", host: 20_000 + index, container: 80, protocol: "tcp" }],
      labels: index % 5 === 4 ? {} : { "com.docker.compose.project": `project-${index % PROJECTS}`, team: `team-${index % 7}` },
      host: `node-${index % nodeCount}`,
    };
  });
  const missing = nodes.filter(({ reachable }) => !reachable).map(({ name }) => name);
  return {
    "GET /whoami": { user: "token-generated", full: true, can: PERMISSIONS },
    "GET /healthz": { complete: false },
    "GET /nodes": { nodes, complete: false, missing, warnings: [] },
    // Made once: the stand-in must not take the time that is measured.
    "GET /": Buffer.from(JSON.stringify(containers)),
  };
}
