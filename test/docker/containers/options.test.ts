import { setTimeout as sleep } from "node:timers/promises";
import { run, until } from "../../../scripts/process";
import { uniqueName } from "../../support/cluster-containers";
import { isPodman, unlessPodman } from "../../support/engine";
import { importWeb } from "../../support/images";
import { cliSettings, pushImage, type Registry, startRegistry } from "../../support/registry";
import { startServer, TOKEN } from "../../support/server";
import { type OneNode, startNode } from "../../support/single-node";

const DEADLINE_MS = 30_000;
const LOGIN = { username: "alice", password: "secret-Wd4" };

let node: OneNode;
let registry: Registry;
beforeAll(async () => {
  node = await startNode({ name: "resources-options", inside: true, args: ["--run_wait=5", "--container_metrics"] });
  await importWeb(node.engine);
  registry = await startRegistry({ users: { [LOGIN.username]: LOGIN.password } });
});
afterAll(async () => {
  await node?.stop();
  await registry?.stop();
});
afterEach(async () => {
  const remaining = (await node.docker("ps", "--all", "--quiet")).split("\n").filter(Boolean);
  // Podman's removal waits 10 s for what ignores SIGTERM.
  if (isPodman && remaining.length > 0) await node.engine.docker(["kill", ...remaining]);
  // Containers with auto_remove may already be in removal: ignore errors.
  if (remaining.length > 0) await node.engine.docker(["rm", "--force", ...remaining]);
  expect(await until(async () => (await node.names()).length === 0, DEADLINE_MS)).toBe(true);
});

const post = (pathname: string, json?: object, headers: Record<string, string> = {}) =>
  node.request("POST", pathname, { ...(json ? { json } : {}), headers });
const runService = (more: object = {}) => post("/containers/run", { image: "nginx", container_port: 80, name: uniqueName("web"), ...more });
const lines = (text: string) =>
  text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));

describe("running", () => {
  test("null fields count as absent", async () => {
    const nothing = { host_port: null, env: null, command: null, auto_remove: null, detach: null, volumes: null, network: null };
    expect((await runService({ ...nothing, restart_policy: null, wait_ready: null, health_path: null })).json.status).toBe("running");
  });

  test("without detach the answer has the exit code and output", async () => {
    const { json } = await runService({ detach: false, command: "sh -c 'echo out; echo err >&2; exit 3'" });
    expect(json).toMatchObject({ status: "exited", exit_code: 3, stdout: "out\n", stderr: "err\n", host_port: null, container_port: 80 });
  });

  test("a container removed right after its end is still answered", async () => {
    const { status, json } = await runService({ auto_remove: true, command: "true" });
    expect([status, json]).toMatchObject([200, { container_port: 80, labels: { "dockapi.managed": "true" } }]);
  });

  test("a health_path or a wait_timeout without wait_ready does not wait, with a warning", async () => {
    const { json } = await runService({ health_path: "/", wait_timeout: 5, command: "sleep 1000" });
    expect(json.warnings).toEqual([
      expect.stringMatching(/^health_path .*wait_ready/),
      expect.stringMatching(/^wait_timeout .*wait_ready/),
    ]);
  });

  test("wait_ready without a health_path does not wait, with a warning", async () => {
    expect((await runService({ wait_ready: true, command: "sleep 1000" })).json.warnings).toEqual([expect.stringContaining("health_path")]);
  });

  test("a repeated Idempotency-Key gives the same container", async () => {
    const body = { image: "nginx", container_port: 80 };
    const first = await post("/containers/run", body, { "Idempotency-Key": "k1" });
    const again = await post("/containers/run", body, { "Idempotency-Key": "k1" });
    expect(again.json).toEqual({ ...first.json, repeated: true });
  });

  test("folders and volumes are mounted, in every notation", async () => {
    const volumes = ["/srv:/a", "named-volume:/b:ro", "D:\\data\\x:/c"];
    const { json } = await runService({ volumes });
    const { mounts } = (await node.request("GET", `/containers/${json.id}`)).json;
    const by = (a: { target: string }, b: { target: string }) => (a.target < b.target ? -1 : 1);
    expect(mounts.sort(by)).toEqual([
      { type: "bind", source: "/srv", target: "/a", read_only: false },
      { type: "volume", source: "named-volume", target: "/b", read_only: true },
      { type: "bind", source: "/d/data/x", target: "/c", read_only: false },
    ]);
    await run("rmdir", ["--parents", "--ignore-fail-on-non-empty", "/d/data/x"]);
  });
});

describe("the list", () => {
  test("holds managed containers, with all=true all containers, and can be filtered", async () => {
    await node.docker("run", "-d", "--name", "foreign", "--label", "a=b=c", "busybox", "sleep", "1000");
    const { json: web } = await runService({ name: "web-1" });
    await runService({ name: "web-2" });
    await post("/containers/web-2/stop?timeout=0");
    const names = async (query: string) =>
      (await node.request("GET", `/containers?${query}`)).json.containers.map((each: { name: string }) => each.name).sort();
    expect(await names("")).toEqual(["web-1", "web-2"]);
    expect(await names("all=true")).toEqual(["foreign", "web-1", "web-2"]);
    expect(await names("status=running")).toEqual(["web-1"]);
    expect(await names("status=running,exited&all=true")).toEqual(["foreign", "web-1", "web-2"]);
    expect(await names("all=true&label=a=b=c")).toEqual(["foreign"]);
    expect(await names("all=true&label=a=b")).toEqual([]);
    expect(await names("label=dockapi.managed&label=dockapi.name=web-2")).toEqual(["web-2"]);
    expect(await names("name=eb-1")).toEqual(["web-1"]);
    expect(await names("all=true&image=busybox")).toEqual(["foreign"]);
    expect(await names("image=nginx:latest")).toEqual(["web-1", "web-2"]);
    const { containers } = (await node.request("GET", "/containers?name=web-1")).json;
    expect(containers).toMatchObject([{ id: web.id, labels: web.labels, host_port: web.host_port }]);
  });

  test("has pages without duplicates or gaps while containers are created and removed", async () => {
    for (const name of ["a1", "a2", "a3", "a4", "a5"]) await runService({ name });
    const seen: string[] = [];
    let cursor = "";
    for (let page = 0; ; page += 1) {
      const { json } = await node.request("GET", `/containers?limit=2${cursor}`);
      seen.push(...json.containers.map((each: { name: string }) => each.name));
      if (page === 0) {
        // Containers of one second are in the order of their random ids.
        await sleep(1000);
        await runService({ name: "comes" });
        await node.request("DELETE", `/containers/${seen[1]}`);
      }
      if (json.next_cursor === null) break;
      cursor = `&cursor=${json.next_cursor}`;
    }
    expect([...seen].sort()).toEqual(["a1", "a2", "a3", "a4", "a5"]);
  });

  test.each(["status=sleeping", "limit=0", "cursor=abc", "all=perhaps", "colour=red"])("refuses ?%s with 400", async (query) => {
    expect((await node.request("GET", `/containers?${query}`)).json).toMatchObject({ status: 400, error: "validation_error" });
  });
});

describe("one container", () => {
  test("is inspected with all documented fields", async () => {
    const { json } = await runService({ name: "told", env: { SECRET: "as given" }, restart_policy: "on-failure:3", command: "sleep 1000" });
    expect((await node.request("GET", "/containers/told")).json).toMatchObject({
      id: json.id,
      name: "told",
      status: "running",
      host_port: json.host_port,
      command: ["sleep", "1000"],
      env: { SECRET: "as given" },
      restart_policy: "on-failure:3",
      auto_remove: false,
      exit_code: null,
      health: null,
      health_output: null,
      restart_count: 0,
      networks: isPodman ? { podman: expect.stringMatching(/^10\./) } : { bridge: expect.stringMatching(/^172\./) },
      started: expect.any(String),
      finished: null,
    });
  });

  test("tells why it could not be started, and that it ran out of memory", async () => {
    await node.docker("create", "--name", "failing", "busybox", "/nosuch");
    await node.request("POST", "/containers/failing/start");
    const { json } = await node.request("GET", "/containers/failing");
    // Podman has no exit code of a failed start.
    const told = { exit_code: isPodman ? null : 127, error: expect.stringContaining("/nosuch"), oom_killed: false };
    expect(json).toMatchObject(told);
    expect((await node.request("GET", "/containers/failing/status")).json).toMatchObject(told);
    // The engine watches a container's memory only a moment after its start.
    const hungry = { image: "busybox", name: "hungry", memory: "8m", data: ["sh", "-c", "sleep 1; tail /dev/zero"] };
    expect((await node.request("PUT", "/", { json: hungry })).json.exit_code).toBe(137);
    expect((await node.request("GET", "/containers/hungry")).json).toMatchObject({ exit_code: 137, error: null, oom_killed: true });
  });

  unlessPodman("it checks by systemd timers")("tells what its last health check wrote", async () => {
    const healthcheck = { cmd: "echo no such page; exit 1", interval: "1s", retries: 1 };
    await node.request("PUT", "/", { json: { image: "busybox", name: "ailing", detach: true, data: ["sleep", "1000"], healthcheck } });
    const told = async () => (await node.request("GET", "/containers/ailing")).json;
    expect(await until(async () => (await told()).health_output === "no such page\n", 20_000)).toBe(true);
    expect((await node.request("GET", "/containers/ailing/status")).json).toMatchObject({ health_output: (await told()).health_output });
  });

  test("is found by an id prefix, and by a name that is a reserved word", async () => {
    const { json } = await runService({ name: "found" });
    expect((await node.request("GET", `/containers/${json.id.slice(0, 12)}`)).json.name).toBe("found");
    await node.docker("run", "-d", "--name", "run", "busybox", "sleep", "1000");
    expect((await node.request("GET", "/containers/run")).json.name).toBe("run");
  });

  test("is unchanged when started or stopped twice", async () => {
    await runService({ name: "twice" });
    expect(await post("/containers/twice/start")).toMatchObject({ status: 200, json: { status: "running" } });
    for (const _ of [1, 2])
      expect((await post("/containers/twice/stop?timeout=0")).json).toMatchObject({ status: "exited", host_port: null });
    expect((await post("/containers/twice/exec", { command: "true" })).json).toMatchObject({ status: 409, code: "NOT_RUNNING" });
    for (const query of ["", "?stream=true"])
      expect((await node.request("GET", `/containers/twice/stats${query}`)).json).toMatchObject({ status: 409, code: "NOT_RUNNING" });
    expect((await node.request("GET", "/containers/twice/top")).json).toMatchObject({ status: 409, code: "NOT_RUNNING" });
    expect((await post("/containers/twice/restart")).json).toMatchObject({ status: "running" });
  });

  test("is paused and unpaused; doing either twice is a 409", async () => {
    await runService({ name: "paused" });
    expect((await post("/containers/paused/pause")).json).toMatchObject({ status: "paused" });
    expect((await post("/containers/paused/pause")).json).toMatchObject({ status: 409, code: "NOT_RUNNING" });
    expect((await post("/containers/paused/unpause")).json).toMatchObject({ status: "running" });
    expect((await post("/containers/paused/unpause")).json).toMatchObject({ status: 409, code: "NOT_RUNNING" });
  });

  test("is a 409 at start if its port is taken, and is kept", async () => {
    await runService({ name: "had", host_port: 18082 });
    await post("/containers/had/stop?timeout=0");
    await runService({ name: "has", host_port: 18082 });
    expect((await post("/containers/had/start")).json).toMatchObject({ status: 409, code: "PORT_TAKEN" });
    expect(await node.names()).toEqual(["had", "has"]);
  });

  test("is not removed while running with force=false", async () => {
    await runService({ name: "runs" });
    expect((await node.request("DELETE", "/containers/runs?force=false")).json).toMatchObject({ status: 409, code: "STILL_RUNNING" });
    await post("/containers/runs/stop?timeout=0");
    expect((await node.request("DELETE", "/containers/runs?force=false")).json).toMatchObject({ name: "runs", removed: true });
  });

  test("can be renamed to a name that is neither taken nor reserved", async () => {
    const { json } = await runService({ name: "before" });
    await runService({ name: "other" });
    expect((await post("/containers/before/rename", { name: "after" })).json).toMatchObject({ id: json.id, name: "after" });
    expect((await post("/containers/after/rename", { name: "after" })).json).toMatchObject({ name: "after" });
    expect((await post("/containers/after/rename", { name: "other" })).json).toMatchObject({ status: 409, code: "NAME_TAKEN" });
    expect((await post("/containers/after/rename", { name: "images" })).json).toMatchObject({ status: 400, code: "INVALID_NAME" });
    expect(await node.names()).toEqual(["after", "other"]);
  });

  test("reports its resource usage and its processes", async () => {
    await runService({ name: "busy", command: ["sh", "-c", "while true; do :; done"] });
    const { json } = await node.request("GET", "/containers/busy/stats");
    const { text: metrics } = await node.request("GET", "/metrics");
    expect(metrics).toMatch(/docker_server_container_cpu_seconds_total\{name="busy",image="(?:docker\.io\/library\/)?nginx[^"]*"\} \d/);
    expect(metrics).toMatch(/docker_server_container_restarts_total\{name="busy",image="[^"]*"\} 0/);
    expect(json).toMatchObject({
      name: "busy",
      memory: expect.any(Number),
      network_in: expect.any(Number),
      block_read: expect.any(Number),
    });
    expect(json.cpu_percent).toBeGreaterThan(1);
    expect(json.memory).toBeLessThan(json.memory_limit);
    expect(json.pids).toBe(1);
    const top = (await node.request("GET", "/containers/busy/top")).json;
    expect(top.processes[0][top.titles.indexOf("CMD")]).toContain("while true");
  });

  test.each([
    ["application/x-ndjson", /^\{"event":"stats",.*"cpu_percent"/],
    ["text/event-stream", /^event: stats\ndata: \{.*"cpu_percent"/],
  ])("streams its resource usage every second as %s until it ends", async (Accept, form) => {
    await runService({ name: "streams", command: "sleep 1000" });
    const headers = { Accept, Authorization: `Bearer ${TOKEN}` };
    const response = await fetch(`${node.server.url}/containers/streams/stats?stream=true`, { headers });
    expect(response.headers.get("content-type")).toBe(`${Accept}; charset=utf-8`);
    let text = "";
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      text += Buffer.from(chunk).toString();
      if (text.split("cpu_percent").length === 3) await node.request("DELETE", "/containers/streams");
    }
    expect(text).toMatch(form);
    expect(text.split("cpu_percent").length).toBeGreaterThanOrEqual(3);
  });
});

/** Podman answers 401 to a pull without the login that the registry asks for, and the docker CLI waits for one then. */
const onRegistries = isPodman ? test.skip : test;

describe("images", () => {
  onRegistries("are listed, pulled with a login, and removed", async () => {
    const image = await pushImage(node.engine, registry, "busybox", LOGIN);
    expect((await post("/images/pull", { image })).json).toMatchObject({ status: 403, code: "IMAGE_DENIED" });
    const { status, json } = await post("/images/pull", { image, auth_config: LOGIN });
    const digest = expect.stringMatching(/^sha256:/);
    expect([status, json]).toEqual([200, { image, status: "pulled", id: digest, digest, host: expect.any(String) }]);
    const { images } = (await node.request("GET", "/images")).json;
    expect(images.find((each: { id: string }) => each.id === json.id)).toMatchObject({
      tags: expect.arrayContaining([`${image}:latest`]),
      size: expect.any(Number),
      created: expect.stringMatching(/^\d{4}-/),
      host: json.host,
    });
    expect((await node.request("DELETE", `/images/${image}`)).json).toMatchObject({
      image,
      removed: true,
      // The containerd image store doesn't tell the digest besides.
      untagged: expect.arrayContaining([`${image}:latest`]),
    });
    expect((await node.request("DELETE", `/images/${image}`)).json).toMatchObject({ status: 404, code: "IMAGE_NOT_FOUND" });
  });

  test("are pulled with the host's credentials, also when progress is streamed", async () => {
    const image = await pushImage(node.engine, registry, "busybox", LOGIN);
    const settings = cliSettings(node.engine.folder, registry, LOGIN);
    const server = await startServer({ engine: node.engine, args: ["--docker_config", settings] });
    try {
      const headers = { Accept: "application/x-ndjson" };
      const { text } = await server.request("POST", "/images/pull", { json: { image }, headers });
      expect(lines(text).at(-1)).toMatchObject({ event: "result", image, status: "pulled" });
    } finally {
      await server.stop();
    }
    await node.docker("rmi", image);
  });

  test("used by a container are not removed: 409", async () => {
    await runService({ name: "uses" });
    expect((await node.request("DELETE", "/images/nginx")).json).toMatchObject({ status: 409, code: "IMAGE_IN_USE" });
    expect((await runService()).status).toBe(200);
  });

  test("used by a running container lose a name by force on Docker, but not by their id, and the container runs on", async () => {
    const name = uniqueName("forced");
    await node.docker("commit", await node.docker("create", "busybox"), name);
    const container = await node.docker("run", "--detach", name, "sleep", "1000");
    const { Image } = await node.inspect(container);
    const remove = async (image: string) => (await node.request("DELETE", `/images/${image}?force=true`)).json;
    const inUse = { status: 409, code: "IMAGE_IN_USE" };
    expect(await remove(name)).toMatchObject(isPodman ? inUse : { removed: true, untagged: [`${name}:latest`] });
    expect(await remove(Image)).toMatchObject(inUse);
    expect((await node.inspect(container)).State.Running).toBe(true);
    await node.docker("rm", "--force", container);
  });

  onRegistries.each(["application/x-ndjson", "text/event-stream"])("stream the progress of their pull as %s", async (Accept) => {
    const image = await pushImage(node.engine, registry, "busybox", LOGIN);
    const pull = async (body: object) => {
      const { text, headers } = await post("/images/pull", body, { Accept });
      expect(headers.get("content-type")).toBe(`${Accept}; charset=utf-8`);
      if (Accept === "application/x-ndjson") return lines(text);
      const events = text.split("\n\n").filter((each) => each.startsWith("event"));
      return events.map((each) => ({ event: each.slice(7, each.indexOf("\n")), ...JSON.parse(each.slice(each.indexOf("data: ") + 6)) }));
    };
    const events = await pull({ image, auth_config: LOGIN });
    expect(events.at(-1)).toMatchObject({ event: "result", image, status: "pulled", id: expect.any(String), host: expect.any(String) });
    expect(events.slice(0, -1).every(({ event, status, host }) => event === "progress" && status && host)).toBe(true);
    expect(events.some(({ layer }) => layer)).toBe(true);
    expect((await pull({ image })).at(-1)).toMatchObject({ event: "error", code: "IMAGE_DENIED", status: 403 });
    await node.docker("rmi", image);
  });

  test("of an unreachable registry are a 502", async () => {
    expect((await post("/images/pull", { image: "127.0.0.1:1/none" })).json).toMatchObject({ status: 502, code: "REGISTRY_UNREACHABLE" });
  });

  test("unknown to their registry are a 404 at pull and a 400 at run", async () => {
    const open = await startRegistry();
    try {
      const image = `${open.host}/none:1`;
      expect((await post("/images/pull", { image })).json).toMatchObject({ status: 404, code: "IMAGE_NOT_FOUND" });
      expect((await runService({ image })).json).toMatchObject({ status: 400, error: "validation_error", code: "IMAGE_NOT_FOUND" });
      expect(await until(async () => (await node.names()).length === 0, DEADLINE_MS)).toBe(true);
    } finally {
      await open.stop();
    }
  });
});
