import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { RUN_LABEL } from "../../../lib/docker/create/runner";
import { resolveEndpoint } from "../../../lib/docker/endpoint";
import { Engine as EngineClient } from "../../../lib/docker/engine";
import { ImagePruner } from "../../../lib/docker/images/image-prune";
import { runOrThrow, until } from "../../../scripts/process";
import { sleeper, uniqueName } from "../../support/cluster-containers";
import { type Engine, startEngine } from "../../support/engine";
import { faketime } from "../../support/faketime";
import { importBusybox } from "../../support/images";
import { startServer, type TestServer } from "../../support/server";
import { dockerOf } from "../../support/single-node";
import { quietLog } from "../../support/unit/quiet-log";

const DEADLINE = 20_000;

let engine: Engine;
const servers: TestServer[] = [];
const docker = (...args: string[]) => dockerOf(engine, args);
beforeAll(async () => {
  engine = await startEngine({ name: "sweep" });
  await importBusybox(engine);
});
afterAll(() => engine.stop());
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop("SIGKILL")));
  const ids = (await docker("ps", "--all", "--quiet")).split("\n").filter(Boolean);
  if (ids.length > 0) await docker("rm", "--force", ...ids);
});

async function start(args: string[] = [], inside: string[] = []): Promise<TestServer> {
  const server = await startServer({ engine, args, inside });
  servers.push(server);
  return server;
}

/** Starts a server whose clock is ahead by this age. */
const startAfter = (time: string) => start([], faketime(`+${time}`));

const stateOf = async (name: string) => docker("ps", "--all", "--filter", `name=^/?${name}$`, "--format", "{{.State}}");
const isGone = (name: string) => until(async () => (await stateOf(name)) === "", DEADLINE);

/** Creates a container with the docker command; returns its name. */
async function create(...args: string[]): Promise<string> {
  const name = uniqueName("created");
  await docker("create", "--name", name, ...args, "busybox", "sleep", "100000");
  return name;
}

/** Leaves a container like a server that is killed before the start; returns its name. */
async function leave(): Promise<string> {
  const name = uniqueName("left");
  await docker("create", "--name", name, "--label", `${RUN_LABEL}=${name}`, "busybox", "sleep", "100000");
  return name;
}

test("a container of a server killed between create and start is removed by the next server after two minutes", async () => {
  const folder = mkdtempSync(path.join(tmpdir(), "docker-server-sweep-"));
  try {
    // The server waits for a frozen node before the start, which leaves time for the kill.
    const flags = ["--cluster", "--folder", folder, "--refresh_rate=500", "--cache_interval=200", "--peer_timeout=20000"];
    const killed = await start([...flags, "--node_name=killed"]);
    // Of two nodes on one engine only one would be waited for.
    const frozen = await startServer({ args: [...flags, "--node_name=frozen"], env: { DOCKER_HOST: "unix:///nonexistent/docker.sock" } });
    servers.push(frozen);
    expect(await until(async () => (await killed.request("GET", "/nodes")).json.nodes.length === 2, DEADLINE)).toBe(true);
    frozen.process.signal("SIGSTOP");
    const name = uniqueName("half-made");
    const answer = killed.request("PUT", "/?node=killed", { json: sleeper({ name }) }).catch(() => "none");
    expect(await until(async () => (await stateOf(name)) === "created", DEADLINE)).toBe(true);
    await killed.stop("SIGKILL");
    expect(await answer).toBe("none");

    const next = await start();
    expect((await next.request("GET", "/")).json).toMatchObject([{ name, state: "created" }]);
    await sleep(1000);
    expect(await stateOf(name)).toBe("created");

    const later = await startAfter("150s");
    expect(await isGone(name)).toBe(true);
    expect(await until(() => later.output().includes(name), DEADLINE)).toBe(true);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("containers that were started, or not created by a run, are never removed", async () => {
  const started = await start();
  const byRun = async (data: string, state: string) => {
    const name = uniqueName("run");
    expect((await started.request("PUT", "/", { json: { image: "busybox", name, detach: true, data } })).status).toBe(200);
    expect(await until(async () => (await stateOf(name)) === state, DEADLINE)).toBe(true);
    return name;
  };
  const kept = [
    await byRun("sleep 100000", "running"),
    await byRun("true", "exited"),
    await create(),
    await create("--label", "docker-server.key=x"),
  ];
  const paused = await byRun("sleep 100000", "running");
  await docker("pause", paused);
  await started.stop();
  const removed = await leave();
  await startAfter("400d");
  expect(await isGone(removed)).toBe(true);
  await sleep(1000);
  const states = await Promise.all([...kept, paused].map(stateOf));
  await docker("unpause", paused);
  expect(states).toEqual(["running", "exited", "created", "created", "paused"]);
});

test("a container created from a run's committed image is not removed despite its labels", async () => {
  const name = await leave();
  const image = uniqueName("committed");
  await docker("commit", name, image);
  const theirs = uniqueName("theirs");
  await docker("create", "--name", theirs, image);
  await startAfter("1h");
  expect(await isGone(name)).toBe(true);
  await sleep(1000);
  expect(await stateOf(theirs)).toBe("created");
});

test("a failed removal does not stop the others", async () => {
  const names = [await leave(), await leave(), await leave()];
  const id = await docker("inspect", "--format", "{{.Id}}", names[2] ?? "");
  const file = path.join(engine.folder, "data/containers", id, "config.v2.json");
  await runOrThrow("chattr", ["+i", file]);
  try {
    await startAfter("1h");
    for (const name of names.slice(0, 2)) expect(await isGone(name)).toBe(true);
  } finally {
    await runOrThrow("chattr", ["-i", file]);
  }
});

describe("unused images and build cache", () => {
  /** Makes an image of its own content; returns its name. */
  async function makeImage(): Promise<string> {
    const name = uniqueName("image");
    await docker("commit", await create(), name);
    await docker("commit", "--change", `LABEL of=${name}`, await create(), name);
    return name;
  }

  const isThere = async (image: string) => (await engine.docker(["image", "inspect", image])).code === 0;

  /** Builds an image with BuildKit, which leaves build cache. */
  async function build(name: string): Promise<void> {
    const folder = mkdtempSync(path.join(tmpdir(), "docker-server-build-"));
    writeFileSync(path.join(folder, "Dockerfile"), `FROM busybox\nRUN echo ${name} > /file\n`);
    await runOrThrow("tar", ["-C", folder, "-cf", `${folder}/context.tar`, "Dockerfile"]);
    const request = ["-X", "POST", "-H", "Content-Type: application/x-tar", "--data-binary", `@${folder}/context.tar`];
    const report = await runOrThrow("curl", ["-s", "--unix-socket", engine.socket, ...request, `http://e/build?version=2&t=${name}`]);
    rmSync(folder, { recursive: true });
    // No line "stream" tells the result.
    expect(report).toContain('"id":"moby.image.id"');
  }

  test("POST /images/prune removes what no container uses and the build cache, and keeps what a run has just asked for", async () => {
    const [unused, ofStopped, asked, built] = [await makeImage(), await makeImage(), await makeImage(), uniqueName("built")];
    await docker("tag", unused, `${unused}:second`);
    await build(built);
    const ids = (await docker("ps", "--all", "--quiet")).split("\n");
    await docker("rm", ...ids);
    await docker("create", "busybox");
    await docker("create", ofStopped);
    const server = await start();
    expect((await server.request("PUT", "/", { json: { image: asked, detach: true, remove: true, data: "true" } })).status).toBe(200);
    const { status, json } = await server.request("POST", "/images/prune");
    expect(status).toBe(200);
    const names = json.images.flatMap((image: { names: string[] }) => image.names);
    expect(names).toEqual(expect.arrayContaining([`${unused}:latest`, `${unused}:second`, `${built}:latest`]));
    expect(json.build_cache).toBeGreaterThan(0);
    expect(await Promise.all([unused, `${unused}:second`, built, ofStopped, asked, "busybox"].map(isThere))).toEqual([
      ...[false, false, false],
      ...[true, true, true],
    ]);
    expect((await server.request("POST", "/images/prune")).json).toMatchObject({ images: [], build_cache: 0 });
  });

  test("with --image_keep an image is removed when no container has used it for so long, counted from the server's start", async () => {
    const unused = await makeImage();
    const used = await makeImage();
    const keeper = await docker("create", used);
    await docker("create", "busybox");
    const endpoint = await resolveEndpoint({
      ...{ docker_host: engine.dockerHost, docker_context: null, docker_config: null },
      ...{ docker_tls_verify: false, docker_cert_path: null, ssh_auth_sock: null, cliVariables: {} },
    });
    let now = 0;
    const pruner = new ImagePruner(new EngineClient(endpoint, 60_000, 60_000), { lastUsedAt: () => undefined }, quietLog().log, () => now);
    const afterMinutes = async (minutes: number) => {
      now = minutes * 60_000;
      await pruner.pruneUnusedFor(3_600_000);
      return Promise.all([unused, used].map(isThere));
    };
    expect(await afterMinutes(0)).toEqual([true, true]);
    expect(await afterMinutes(59)).toEqual([true, true]);
    expect(await afterMinutes(61)).toEqual([false, true]);
    await docker("rm", keeper);
    expect(await afterMinutes(120)).toEqual([false, true]);
    expect(await afterMinutes(122)).toEqual([false, false]);
    expect(await isThere("busybox")).toBe(true);
  });
});
