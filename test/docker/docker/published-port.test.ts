import path from "node:path";
import { run } from "../../../scripts/process";
import { type Engine, leaseEngine } from "../../support/engine";
import { importWeb } from "../../support/images";
import { dockerOf } from "../../support/single-node";

let engine: Engine;
beforeAll(async () => {
  engine = await leaseEngine({ name: "upstream" });
  await importWeb(engine, "web");
});
afterAll(() => engine?.stop());

const start = (...options: string[]) => dockerOf(engine, ["run", "-d", ...options, "web"]);

const ASKS = `
const [url, asked] = process.argv.slice(1);
const { Engine } = require("./lib/docker/engine.ts");
const { findUpstream } = require("./lib/docker/containers/published-port.ts");
const { resolveEndpoint } = require("./lib/docker/endpoint.ts");
resolveEndpoint({ docker_host: url, docker_context: null, docker_config: null, ssh_auth_sock: null })
  .then((endpoint) => new Engine(endpoint, 10000))
  .then((engine) => Promise.all(JSON.parse(asked).map(([id, port]) => findUpstream(engine, id, port).catch(
    ({ code, status, message, details }) => ({ code, status, message, details })))))
  .then((found) => console.log(JSON.stringify(found)));
`;

/** Looks up the upstreams of containers and ports from a process on the engine's host. */
// biome-ignore lint/suspicious/noExplicitAny: addresses and errors
async function upstreams(...asked: [id: string, port?: number][]): Promise<any[]> {
  const program = [process.execPath, "--import", "tsx", "-e", ASKS, engine.dockerHost, JSON.stringify(asked)];
  const [command = "", ...args] = engine.inside(["env", "-C", path.resolve(__dirname, "../../.."), ...program]);
  const { stdout, stderr } = await run(command, args);
  if (stdout === "") throw new Error(stderr);
  return JSON.parse(stdout);
}

test("a single published port is used at its published address", async () => {
  const loopback = await start("-p", "127.0.0.1:18090:80");
  const anywhere = await start("-p", "18091:80", "-p", "18091:53/udp");
  const addressed = await start("-p", `${engine.address}:18092:80`);
  expect(await upstreams([loopback], [anywhere], [addressed])).toEqual([
    { host: "127.0.0.1", port: 18090, container_port: 80 },
    { host: "127.0.0.1", port: 18091, container_port: 80 },
    { host: engine.address, port: 18092, container_port: 80 },
  ]);
});

/** The page that the upstream of a container serves; each container serves its own id. */
async function pagesAt(...ids: string[]): Promise<string[]> {
  for (const id of ids) await dockerOf(engine, ["exec", id, "sh", "-c", `echo ${id} > /www/index.html`]);
  const found = await upstreams(...ids.map((id): [string] => [id]));
  const pages = [];
  for (const { host, port } of found) {
    const url = `http://${host.includes(":") ? `[${host}]` : host}:${port}/`;
    const [command = "", ...args] = engine.inside([
      "curl",
      "--silent",
      "--globoff",
      "--retry",
      "20",
      "--retry-all-errors",
      "--retry-delay",
      "1",
      url,
    ]);
    pages.push((await run(command, args)).stdout.trim());
  }
  return pages;
}

test("containers that publish the same port at different addresses are told apart", async () => {
  const addresses = ["127.0.0.1:18101", "127.0.0.2:18101", "[::1]:18101", "0.0.0.0:18102", "[::]:18102"];
  const ids = [];
  for (const address of addresses) ids.push(await start("-p", `${address}:80`));
  expect(await pagesAt(...ids)).toEqual(ids);
});

test("a container on a network without IPv4 is reached, and has its IPv6 address", async () => {
  const { code } = await engine.docker(["network", "create", "--ipv6", "--ipv4=false", "--subnet", "fd00:99::/64", "only6"]);
  if (code !== 0) return; // engines before 28 have no such networks
  const id = await start("--network", "only6", "-p", "18103:80");
  expect(await pagesAt(id)).toEqual([id]);
});

test("without published ports, NO_PORT names the container whose network is used", async () => {
  const vpn = await start("--name", "vpn", "-p", "18104:80");
  const idle = (network: string) => dockerOf(engine, ["run", "-d", "--network", network, "web", "sleep", "1000"]);
  const [sharing, onHost] = [await idle("container:vpn"), await idle("host")];
  expect(await upstreams([vpn], [sharing], [onHost])).toMatchObject([
    { port: 18104 },
    { code: "NO_PORT", details: { field: "port", ports: [], network_of: "vpn" } },
    { code: "NO_PORT", details: { ports: [] } },
  ]);
});

test("of several ports the requested or the labelled one is used, otherwise 400 names port", async () => {
  const several = await start("-p", "18093:80", "-p", "18094:81");
  const made = await start("-p", "18095:80", "-p", "18096:81", "--label", "dockapi.container_port=80");
  const refused = { code: "NO_PORT", status: 400, details: { field: "port", ports: expect.arrayContaining([80, 81]) } };
  const message = (text: string) => ({ ...refused, message: expect.stringMatching(text) });
  expect(await upstreams([several, 81], [several], [several, 82], [several, 18093], [made])).toMatchObject([
    { port: 18094, container_port: 81 },
    message("^The container publishes several ports: say which by .port=, of 8[01], 8[01]$"),
    message("^The container doesn't publish port 82: it publishes 8[01], 8[01]$"),
    message("^The container doesn't publish port 18093, but 80, as 18093 of its host: say .port=80$"),
    { port: 18095, container_port: 80 },
  ]);
});

test("no published TCP port is 400, a stopped or paused container 409, a missing one 404", async () => {
  const unpublished = await start("-p", "53/udp");
  const [paused, stopped] = [await start("-p", "80"), await start("-p", "80")];
  await dockerOf(engine, ["pause", paused]);
  await dockerOf(engine, ["stop", "--time=0", stopped]);
  expect(await upstreams([unpublished], [paused], [stopped], ["0".repeat(64)])).toMatchObject([
    { code: "NO_PORT", status: 400 },
    { code: "NOT_RUNNING", status: 409, details: { status: "paused" } },
    { code: "NOT_RUNNING", status: 409, details: { status: "exited" } },
    { code: "CONTAINER_NOT_FOUND", status: 404 },
  ]);
  await dockerOf(engine, ["unpause", paused]);
});
