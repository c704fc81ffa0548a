import type { Bid, Container, Node } from "../lib/console/public/format";
import type { Answers } from "../test/support/console-stand-in";

// The pool that the pictures of docs/console.md show.

const START = Date.parse("2026-01-31T12:00:00Z");
const at = (seconds: number) => new Date(START + seconds * 1000).toISOString();
const idOf = (name: string) => Buffer.from(name.padEnd(32, ".")).toString("hex");
export const API_ID = idOf("shop-api");
const PERMISSIONS = ["read", "logs", "exec", "run", "containers", "images", "volumes", "files", "proxy", "nodes", "admin"];

const container = (name: string, image: string, host: string, more: Partial<Container> & { port?: number; project?: string } = {}) => {
  const { port, project, ...fields } = more;
  return {
    id: idOf(name),
    name,
    image,
    command: "",
    created: at(0),
    state: "running",
    status: "Up 3 hours (healthy)",
    ports: port === undefined ? [] : [{ host_ip: "0.0.0.0", host: port, container: 80, protocol: "tcp" }],
    labels: project === undefined ? {} : { "com.docker.compose.project": project },
    host,
    ...fields,
  } satisfies Container;
};

const CONTAINERS: Container[] = [
  container("blog-web", "nginx:1.27", "node-1", { project: "blog", port: 8080 }),
  container("blog-db", "postgres:16", "node-2", { project: "blog", status: "Up 3 hours" }),
  container("shop-web", "nginx:1.27", "node-3", { project: "shop", port: 8081 }),
  container("shop-api", "ghcr.io/example/shop-api:2.4.1", "node-1", { project: "shop", port: 3000 }),
  container("shop-worker", "ghcr.io/example/shop-api:2.4.1", "node-2", { project: "shop", status: "Up 5 minutes (unhealthy)" }),
  container("shop-db", "postgres:16", "node-3", { project: "shop", status: "Up 3 hours" }),
  container("shop-migrate", "ghcr.io/example/shop-api:2.4.1", "node-1", {
    project: "shop",
    state: "exited",
    status: "Exited (0) 3 hours ago",
  }),
  container("grafana", "grafana/grafana:11.4.0", "node-2", { port: 3001 }),
  container("registry", "registry:2", "node-3", { port: 5000, status: "Up 12 days" }),
];

const node = (name: string, load: number, running: number): Node => ({
  name,
  reachable: true,
  load,
  cpu: 0.8 * load,
  memory: 0.5 * load,
  engine: "ok",
  version: "2.0.0",
  docker: "28.5.2",
  containers: CONTAINERS.filter(({ host }) => host === name).length,
  runs: { running, waiting: 0 },
  accepting: true,
});

const bid = (name: string, cpu: number, memory: number, more: Partial<Bid> = {}): Bid => ({
  node: name,
  cpu,
  memory,
  reservedCpu: cpu / 2,
  reservedMemory: memory / 2,
  recent: 0.3,
  hasImage: true,
  hasVolumes: true,
  ...more,
});

const usage = (index: number) => ({
  read: at(index),
  cpu_percent: 18 + 12 * Math.sin(index / 9) + 3 * Math.cos(index / 2),
  memory: 182_000_000 + 240_000 * index,
  memory_limit: 512_000_000,
});

const LOG = [
  "\x1b[32mINFO\x1b[0m shop-api 2.4.1 listening on :3000",
  "\x1b[32mINFO\x1b[0m connected to postgres at shop-db:5432",
  '{"level":"info","msg":"order placed","order":4711,"ms":38}',
  '{"level":"warn","msg":"slow query","ms":912,"query":"select … from orders"}',
  "\x1b[33mWARN\x1b[0m payment provider: timeout after 3000 ms, trying again",
  "\x1b[31mERROR\x1b[0m payment provider: timeout after 3000 ms, order 4712 stays open",
  '{"level":"info","msg":"order placed","order":4713,"ms":41}',
];
const LOG_LINES = LOG.map((line, index) => ({ time: at(index * 7), line }));

const file = (name: string, size: number, more = {}) => ({ name, type: "file", size, mode: "644", modified: at(0), ...more });
const jsonLines = (items: object[]) => `${items.map((each) => JSON.stringify(each)).join("\n")}\n`;

const AUDIT = [
  { user: "token-4f1c9a20", method: "PUT", path: "/", status: 200, image: "redis:7", ran_on: "node-2" },
  { user: "anna", method: "POST", path: "/containers/web/stop", status: 200, node: "node-1" },
  { user: "token-4f1c9a20", method: "DELETE", path: "/old-worker", status: 404, node: "node-3" },
  { user: "ci", method: "POST", path: "/images/pull", status: 200, image: "ghcr.io/example/shop-api:2.4.1", node: "node-1" },
  { user: "anna", method: "GET", path: "/ws/shop-api", status: 101, node: "node-1" },
].map((entry, index) => ({ node: "node-1", request_id: String(index), timestamp: at(index * 41), ...entry }));

export const SAMPLE_ANSWERS: Answers = {
  "GET /whoami": { user: "anna", full: true, can: PERMISSIONS },
  "GET /healthz": { complete: false },
  "GET /nodes": {
    nodes: [
      ...[node("node-1", 0.42, 2), node("node-2", 0.18, 0), node("node-3", 0.71, 4)],
      { ...node("node-4", 0.05, 0), reachable: false, reason: "no answer within 2 s" },
    ],
    complete: false,
    missing: ["node-4"],
    warnings: [],
  },
  "GET /": CONTAINERS,
  ...Object.fromEntries(CONTAINERS.map(({ id }, index) => [`GET /containers/${id}/stats`, usage(index * 11)])),
  [`GET /containers/${API_ID}/stats?stream=true&node=node-1`]: jsonLines(Array.from({ length: 180 }, (_, index) => usage(index))),
  [`GET /containers/${API_ID}`]: {
    id: API_ID,
    name: "shop-api",
    image: "ghcr.io/example/shop-api:2.4.1",
    state: "running",
    env: { DATABASE_HOST: "shop-db", DATABASE_PASSWORD: "s3cret", PORT: "3000" },
    labels: { "com.docker.compose.project": "shop" },
    restart_policy: "unless-stopped",
    memory: 512_000_000,
    host: "node-1",
  },
  [`GET /containers/${API_ID}/logs`]: LOG_LINES.map(({ time, line }) => `${time} ${line}\n`).join(""),
  [`GET /containers/${API_ID}/files`]: {
    entries: [
      file("app", 0, { type: "directory", mode: "755" }),
      file("etc", 0, { type: "directory", mode: "755" }),
      file("lib64", 0, { type: "link", target: "lib" }),
      file("package.json", 1423),
      file("server.js", 48_211),
      file("sessions.sqlite", 12_400_000),
    ],
    complete: true,
  },
  [`POST /ws/${API_ID}/ticket`]: { ticket: "sample", expires_in: 30 },
  "PUT /": {
    id: idOf("cache"),
    name: "cache",
    status: "running",
    host: "node-2",
    placement: {
      chosen: "node-2",
      order: [
        { node: "node-2", ahead: 0, load: 0.23 },
        { node: "node-1", ahead: 0, load: 0.58 },
        { node: "node-3", ahead: 0, load: 0.97 },
      ],
      bids: [
        bid("node-1", 0.42, 0.3),
        bid("node-2", 0.18, 0.1),
        bid("node-3", 0.71, 0.5, { hasImage: false }),
        bid("node-4", 0, 0, { declines: "no answer: no answer within 2 s" }),
      ],
    },
  },
  "POST /run": { stdout: "42\n", stderr: "", error: "" },
  "GET /images": {
    images: [
      { id: "sha256:1", tags: ["ghcr.io/example/shop-api:2.4.1"], size: 187_000_000, created: at(0), host: "node-1" },
      { id: "sha256:2", tags: ["nginx:1.27", "nginx:latest"], size: 192_000_000, created: at(-90_000), host: "node-1" },
      { id: "sha256:3", tags: ["postgres:16"], size: 432_000_000, created: at(-900_000), host: "node-2" },
    ],
    missing: ["node-4"],
  },
  "GET /volumes": {
    volumes: [
      { name: "blog_db", driver: "local", created: at(-90_000), host: "node-2" },
      { name: "shop_db", driver: "local", created: at(-80_000), host: "node-3" },
    ],
    missing: ["node-4"],
  },
  "GET /logs/search": jsonLines([
    ...LOG_LINES.filter(({ line }) => line.includes("timeout")).map((hit) => ({
      node: "node-1",
      id: API_ID,
      name: "shop-api",
      stream: "stdout",
      ...hit,
    })),
    { node: "node-2", id: idOf("shop-worker"), name: "shop-worker", stream: "stderr", time: at(20), line: "job 91: timeout, put back" },
    { event: "result", complete: false, missing: [{ node: "node-4", reason: "no answer within 2 s" }], truncated: null, unreadable: [] },
  ]),
  "GET /audit": jsonLines([...AUDIT, { event: "result", missing: ["node-4"] }]),
};
