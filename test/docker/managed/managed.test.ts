import { until } from "../../../scripts/process";
import { engineKind } from "../../support/engine";
import { volumesOf } from "../../support/engine-api";
import { BASIC, curl, type OneNode, startNode } from "../../support/single-node";

const DEADLINE_MS = 30_000;

let node: OneNode;
let base: string;
beforeAll(async () => {
  node = await startNode({ name: "managed", env: { APP_USER: "admin", APP_PASS: "password" } });
  base = node.server.url;
  // A stand-in for python that prints the files it is run on.
  const script =
    '#!/bin/sh\n[ "$1" = -m ] && { [ "$4" = install ] || [ "$3" = install ] && echo "pip $*"; exit 0; }\necho "python $*"; exec sh "$2"\n';
  await node.docker("run", "--name", "base", "busybox", "sh", "-c", `printf '%s' '${script}' > /bin/python3; chmod +x /bin/python3`);
  await node.docker(
    "commit",
    "-c",
    'CMD ["sh", "-c", "echo of the image; trap exit TERM; while :; do sleep 0.1; done"]',
    "base",
    "python:3.12-slim",
  );
  await node.docker("rm", "base");
});
afterAll(() => node?.stop());
afterEach(async () => {
  for (const cuid of await node.names()) await node.request("DELETE", `/containers/${cuid}`);
  expect(await node.names()).toEqual([]);
  expect(await volumes()).toEqual([]);
});

const AUTH = `Authorization: Basic ${Buffer.from("admin:password").toString("base64")}`;
const example = (method: string, pathname: string, body?: object) =>
  curl(
    "-X",
    method,
    `${base}${pathname}`,
    "-H",
    AUTH,
    ...(body ? ["-H", "content-type: application/json", "-d", JSON.stringify(body)] : []),
  );
const create = (more: object = {}) => example("POST", "/containers", { image: "python:3.12-slim", ...more });
const volumes = () => volumesOf(node.engine);
const log = async (cuid: string) => (await example("GET", `/containers/${cuid}/logs`)).body;
const exec = async (cuid: string, ...command: string[]) => (await example("POST", `/containers/${cuid}/exec`, { command })).json.stdout;

const DOCUMENTED = {
  env: { APP_ENV: "production", DEBUG: "false" },
  tags: ["web", "production"],
  resources: { cpus: 1.0, memory: "4096m", pids: 2048 },
  ports: [{ host: 18080, container: 80, protocol: "tcp" }],
};

test("the documented creation: 201 with a cuid; the container is not started and has all requested settings", async () => {
  const { status, json, headers } = await create(DOCUMENTED);
  expect([status, json]).toMatchObject([
    201,
    {
      cuid: expect.stringMatching(/^c[0-9a-z]{24}$/),
      image: "python:3.12-slim",
      status: "created",
      tags: ["web", "production"],
      resources: { cpus: 1, memory: "4096m", pids: 2048 },
      ports: [{ host: 18080, container: 80, protocol: "tcp" }],
    },
  ]);
  const { cuid } = json;
  expect(headers.location).toBe(`/containers/${cuid}`);
  const { Config, HostConfig, Mounts, State } = await node.inspect(cuid);
  expect(State.Status).toBe("created");
  expect(Config.Env).toEqual(expect.arrayContaining(["APP_ENV=production", "DEBUG=false", `CONTAINER_UID=${cuid}`, "TAGS=web,production"]));
  expect(HostConfig).toMatchObject({ NanoCpus: 1e9, Memory: 4096 * 1024 ** 2, PidsLimit: 2048 });
  expect(HostConfig.PortBindings).toEqual({ "80/tcp": [{ HostIp: "", HostPort: "18080" }] });
  expect(Mounts).toMatchObject([{ Type: "volume", Name: cuid, Destination: "/app" }]);
  expect((await example("GET", `/containers/${cuid}/status`)).json).toMatchObject({
    cuid,
    status: "created",
    running: false,
    exit_code: null,
  });
  expect(JSON.stringify(Config.Labels)).not.toContain("false");
});

test("restart policy, health check, mounts, network, init and stop timeout are applied, changed by PATCH, and removed by null", async () => {
  await node.docker("network", "create", "own");
  const given = { restart_policy: "unless-stopped", network: "own", init: true, stop_timeout: 1 };
  const check = { cmd: "true", interval: "1m30s", retries: 2 };
  const { status, json } = await create({ ...given, healthcheck: check, volumes: ["data:/data:ro"] });
  expect([status, json]).toMatchObject([201, { ...given, healthcheck: check, volumes: { data: "/data:ro" } }]);
  const { cuid } = json;
  const made = await node.inspect(cuid);
  expect(made.HostConfig).toMatchObject({ RestartPolicy: { Name: "unless-stopped" }, NetworkMode: "own", Init: true });
  expect(made.Config).toMatchObject({ StopTimeout: 1, Healthcheck: { Test: ["CMD-SHELL", "true"], Interval: 90e9, Retries: 2 } });
  expect(made.Mounts).toEqual(
    expect.arrayContaining([expect.objectContaining({ Type: "volume", Name: "data", Destination: "/data", RW: false })]),
  );
  expect((await example("POST", `/containers/${cuid}/start`)).json.status).toBe("running");

  const changes = { restart_policy: "on-failure:3", healthcheck: { disable: true }, volumes: { "/srv": "/s:ro" }, stop_timeout: 0 };
  expect((await example("PATCH", `/containers/${cuid}`, { ...changes, network: null, init: null })).json).toMatchObject({
    ...changes,
    status: "running",
  });
  const changed = await node.inspect(cuid);
  expect(changed.HostConfig).toMatchObject({ RestartPolicy: { Name: "on-failure", MaximumRetryCount: 3 }, NetworkMode: "bridge" });
  expect([changed.HostConfig.Init ?? false, changed.Config.StopTimeout, changed.Config.Healthcheck]).toMatchObject([
    false,
    0,
    { Test: ["NONE"] },
  ]);
  expect(changed.Mounts.map(({ Destination }: { Destination: string }) => Destination).sort()).toEqual(["/app", "/s"]);

  const shorter = { healthcheck: { disable: false, interval: "3s" } };
  expect((await example("PATCH", `/containers/${cuid}`, shorter)).json.healthcheck).toEqual({ ...check, ...shorter.healthcheck });
  expect((await node.inspect(cuid)).Config.Healthcheck).toMatchObject({ Test: ["CMD-SHELL", "true"], Interval: 3e9, Retries: 2 });

  const nothing = { restart_policy: null, healthcheck: null, volumes: null, stop_timeout: null };
  expect((await example("PATCH", `/containers/${cuid}`, nothing)).status).toBe(200);
  const plain = await node.inspect(cuid);
  // Docker 20.10 says nothing of a policy that is not there.
  const noPolicy = engineKind() === "20.10" ? "" : "no";
  expect([plain.HostConfig.RestartPolicy.Name, plain.Mounts.length, plain.Config.StopTimeout ?? null]).toEqual([noPolicy, 1, null]);
  expect((await example("DELETE", `/containers/${cuid}`)).status).toBe(200);
  // Other volumes than its own outlive it.
  expect(await volumes()).toEqual(["data"]);
  await node.docker("volume", "rm", "data");
  await node.docker("network", "rm", "own");
});

test("a name is an alias of the cuid in every route, changed by PATCH, and no other container can have it", async () => {
  const { status, json } = await create({ name: "my-app" });
  expect([status, json.name]).toEqual([201, "my-app"]);
  const { cuid } = json;
  expect((await create({ name: "my-app" })).json).toMatchObject({ status: 409, code: "NAME_TAKEN" });
  for (const [method, pathname, body] of [
    ["PUT", "/", { image: "busybox", name: "my-app" }],
    ["POST", "/containers/run", { image: "busybox", name: "my-app", container_port: 80 }],
  ] as const)
    expect((await example(method, pathname, body)).json).toMatchObject({ status: 409, code: "NAME_TAKEN" });
  for (const pathname of ["/v1.41/containers/create?name=my-app", `/v1.41/containers/${cuid}/rename?name=my-app`])
    expect(await example("POST", pathname, { Image: "busybox" })).toMatchObject({
      status: 409,
      json: { message: expect.stringMatching(/^Conflict\. The container name "\/my-app" is already in use/) },
    });
  expect((await example("POST", "/containers/my-app/start")).json).toMatchObject({ cuid, name: "my-app", status: "running" });
  expect((await example("POST", "/my-app", { command: "echo hi" })).json).toMatchObject({ stdout: "hi\n" });
  expect((await example("GET", "/containers?name=my-app")).json.containers).toMatchObject([{ cuid, name: "my-app" }]);
  expect((await example("PATCH", "/containers/my-app", { name: "web", tags: ["a"] })).json).toMatchObject({ cuid, name: "web" });
  expect((await example("GET", "/containers/web/status")).json).toMatchObject({ cuid, name: "web", running: true });
  expect((await example("GET", "/containers/my-app")).status).toBe(404);
  expect((await example("PATCH", `/containers/${cuid}`, { name: null })).json.name).toBe(cuid);
  expect((await example("PATCH", `/containers/${cuid}`, { name: "web" })).json.name).toBe("web");
  expect((await example("DELETE", "/web")).json).toMatchObject({ name: cuid, removed: true });
});

test("every documented action changes the state; in a wrong state it is a 422", async () => {
  const { cuid } = (await create()).json;
  const act = async (action: string) => {
    const { status, json } = await example("POST", `/containers/${cuid}/${action}`);
    return status === 200 ? json.status : `${status} ${json.error}`;
  };
  const assertRefused = async (...actions: string[]) => {
    for (const action of actions) expect([action, await act(action)]).toEqual([action, "422 state_error"]);
  };
  await assertRefused("stop?timeout=0", "pause", "unpause", "restart?timeout=0");
  expect(await act("start")).toBe("running");
  await assertRefused("start", "unpause");
  expect(await act("pause")).toBe("paused");
  await assertRefused("start", "pause");
  expect((await example("PATCH", `/containers/${cuid}`, { tags: ["a"] })).json).toMatchObject({ status: 422, error: "state_error" });
  expect(await act("unpause")).toBe("running");
  expect(await act("restart?timeout=0")).toBe("running");
  expect(await act("stop?timeout=0")).toBe("exited");
  await assertRefused("stop?timeout=0", "pause", "unpause");
  expect(await act("restart?timeout=0")).toBe("running");
  expect(await act("pause")).toBe("paused");
  expect((await example("DELETE", `/containers/${cuid}?force=false`)).json).toMatchObject({ status: 409, code: "STILL_RUNNING" });
  expect((await example("DELETE", `/containers/${cuid}`)).json).toMatchObject({ name: cuid, removed: true });
  expect([await node.names(), await volumes()]).toEqual([[], []]);
  expect((await example("POST", `/containers/${cuid}/start`)).json).toMatchObject({ status: 404, error: "not_found" });
});

test("stopping a stopped container that is not managed is a 200", async () => {
  await node.request("PUT", "/", { json: { image: "busybox", name: "other", detach: true, data: "sleep 1000" } });
  for (let time = 0; time < 2; time += 1) expect((await example("POST", "/containers/other/stop?timeout=0")).status).toBe(200);
  expect((await example("PATCH", "/containers/other", { tags: [] })).json).toMatchObject({ status: 409, code: "NOT_MANAGED" });
});

test("PATCH changes variables, tags, limits and image; the container runs again and keeps /app", async () => {
  const { cuid } = (await create({ env: { OLD_VAR: "old", KEPT: "a\nb" }, resources: { cpus: 0.5, memory: "64m" } })).json;
  await example("POST", `/containers/${cuid}/start`);
  await exec(cuid, "sh", "-c", "echo kept > /app/file");
  const documented = { env: { NEW_VAR: "value", OLD_VAR: null }, tags: ["updated", "v2"], resources: { memory: "128m", cpus: null } };
  const changed = await example("PATCH", `/containers/${cuid}`, documented);
  expect([changed.status, changed.json]).toMatchObject([
    200,
    { cuid, status: "running", tags: ["updated", "v2"], resources: { memory: "128m" } },
  ]);
  expect(changed.json.resources).toEqual({ memory: "128m" });
  const { Config, HostConfig } = await node.inspect(cuid);
  expect(Config.Env).toEqual(expect.arrayContaining(["NEW_VAR=value", "KEPT=a\nb", "TAGS=updated,v2"]));
  expect(Config.Env.join()).not.toContain("OLD_VAR");
  expect(HostConfig).toMatchObject({ NanoCpus: 0, Memory: 128 * 1024 ** 2 });
  expect(await exec(cuid, "cat", "/app/file")).toBe("kept\n");
  await example("POST", `/containers/${cuid}/stop?timeout=0`);
  await node.docker("tag", "python:3.12-slim", "python:3.13-slim");
  const image = await example("PATCH", `/containers/${cuid}`, { image: "python:3.13-slim" });
  expect([image.status, image.json]).toMatchObject([200, { image: "python:3.13-slim", status: "created", tags: ["updated", "v2"] }]);
  await example("POST", `/containers/${cuid}/start`);
  expect(await exec(cuid, "cat", "/app/file")).toBe("kept\n");
  const { Id } = await node.inspect(cuid);
  expect((await example("PATCH", `/containers/${cuid}`, { tags: ["updated", "v2"] })).json).toMatchObject({ id: Id, status: "running" });
});

test("PATCH of the ports replaces them, tcp and udp; a taken port is a 409 and changes nothing", async () => {
  const { cuid } = (await create(DOCUMENTED)).json;
  const other = (await create({ ports: [{ host: 18090, container: 80, protocol: "tcp" }] })).json.cuid;
  await example("POST", `/containers/${cuid}/start`);
  const ports = [
    { host: 13000, container: 3000, protocol: "tcp" },
    { host: 13000, container: 9000, protocol: "udp" },
  ];
  const changed = await example("PATCH", `/containers/${cuid}/ports`, { ports });
  expect([changed.status, changed.json]).toMatchObject([200, { status: "running", ports }]);
  const { Id, HostConfig } = await node.inspect(cuid);
  expect(HostConfig.PortBindings).toMatchObject({ "3000/tcp": [{ HostPort: "13000" }], "9000/udp": [{ HostPort: "13000" }] });
  for (const taken of [
    [{ host: 18090, container: 80 }],
    [
      { host: 18091, container: 80 },
      { host: 18091, container: 81, protocol: "tcp" },
    ],
  ])
    expect((await example("PATCH", `/containers/${cuid}/ports`, { ports: taken })).json).toMatchObject({
      status: 409,
      error: "conflict",
      code: "PORT_TAKEN",
    });
  expect((await create({ ports: [{ host: 18090, container: 80 }] })).json).toMatchObject({ status: 409, code: "PORT_TAKEN" });
  expect((await example("PATCH", `/containers/${cuid}/ports`, ports)).json).toMatchObject({
    status: 400,
    message: expect.stringMatching(/body must be an object, such as \{"ports":/),
  });
  expect((await node.inspect(cuid)).Id).toBe(Id);
  expect((await node.names()).sort()).toEqual([cuid, other].sort());
});

test("PATCH changes ports together with other fields, and keeps them if they aren't named", async () => {
  const { cuid } = (await create({ ports: [{ host: 13001, container: 80 }] })).json;
  const ports = [{ host: 13002, container: 81, protocol: "udp" }];
  expect((await example("PATCH", `/containers/${cuid}`, { ports, tags: ["v2"] })).json).toMatchObject({ ports, tags: ["v2"] });
  expect((await example("PATCH", `/containers/${cuid}`, { tags: ["v3"] })).json).toMatchObject({ ports, tags: ["v3"] });
  expect((await node.inspect(cuid)).HostConfig.PortBindings).toMatchObject({ "81/udp": [{ HostPort: "13002" }] });
});

test("a failed change leaves the previous container running", async () => {
  const { cuid } = (await create({ tags: ["before"] })).json;
  await example("POST", `/containers/${cuid}/start`);
  await exec(cuid, "sh", "-c", "echo kept > /app/file");
  expect((await example("PATCH", `/containers/${cuid}`, { image: "nowhere.invalid/none:1" })).status).toBeGreaterThanOrEqual(400);
  expect((await example("PATCH", `/containers/${cuid}`, { resources: { memory: "1k" } })).json).toMatchObject({
    status: 400,
    code: "INVALID_SPEC",
  });
  // A port taken by a process, not by a container, is detected only at the start.
  await node.docker("run", "--detach", "--rm", "--network=host", "--name=holder", "busybox", "httpd", "-f", "-p", "18200");
  const refused = await example("PATCH", `/containers/${cuid}/ports`, { ports: [{ host: 18200, container: 80 }] });
  expect(refused.json).toMatchObject({ status: 409, error: "conflict", code: "PORT_TAKEN" });
  await node.docker("rm", "--force", "holder");
  expect((await example("GET", `/containers/${cuid}/status`)).json).toMatchObject({ status: "running", tags: ["before"], ports: [] });
  expect(await exec(cuid, "cat", "/app/file")).toBe("kept\n");
  expect(await node.names()).toEqual([cuid]);
});

test("a failed creation leaves nothing behind", async () => {
  expect((await create({ resources: { memory: "1k" } })).json).toMatchObject({
    status: 400,
    error: "validation_error",
    code: "INVALID_SPEC",
  });
  expect((await create({ image: "nowhere.invalid/none:1" })).status).toBeGreaterThanOrEqual(400);
  expect((await example("POST", "/containers", {})).json).toMatchObject({
    error: "validation_error",
    code: "MISSING_IMAGE",
    status: 400,
    request_id: expect.any(String),
    timestamp: expect.any(String),
    details: { field: "image", provided: null },
  });
  expect((await create({ privileged: true })).json).toMatchObject({ status: 400 });
  expect([await node.names(), await volumes(), await node.docker("network", "ls", "--quiet", "--filter", "type=custom")]).toEqual([
    [],
    [],
    "",
  ]);
});

test("each start runs /app/boot.py after installing its requirements, else the image's command", async () => {
  const { cuid } = (await create()).json;
  await example("POST", `/containers/${cuid}/start`);
  expect(await until(async () => (await log(cuid)).includes("of the image"), DEADLINE_MS)).toBe(true);
  const { Id } = await node.inspect(cuid);
  await exec(
    cuid,
    "sh",
    "-c",
    "echo 'echo booted as $CONTAINER_UID in $(pwd); sleep 1000' > /app/boot.py; echo requests > /app/requirements.txt",
  );
  await example("POST", `/containers/${cuid}/restart?timeout=0`);
  expect(await until(async () => (await log(cuid)).includes("booted"), DEADLINE_MS)).toBe(true);
  expect(await log(cuid)).toMatch(
    new RegExp(`pip -m pip install .* -r /app/requirements.txt\npython -u /app/boot.py\nbooted as ${cuid} in /app\n$`),
  );
  expect((await node.inspect(cuid)).Id).toBe(Id);
});

test("a creation whose command only a shell would understand carries a warning", async () => {
  const { status, json } = await create({ command: "apk add curl && curl example.com" });
  expect([status, json.warnings]).toEqual([201, [expect.stringContaining("no shell runs the command, which gets && as it is")]]);
});

test("a given command replaces boot.py; an image without a shell runs its own command", async () => {
  const own = (await create({ command: ["echo", "of the caller"] })).json.cuid;
  await example("POST", `/containers/${own}/start`);
  expect(await until(async () => (await log(own)) === "of the caller\n", DEADLINE_MS)).toBe(true);
  await node.docker("run", "--name", "base", "busybox", "sh", "-c", "mkdir /own; mv /bin/busybox /own/echo; rm -rf /bin");
  await node.docker("commit", "-c", 'CMD ["/own/echo", "no shell"]', "base", "shell-less:1");
  await node.docker("rm", "base");
  const { json } = await create({ image: "shell-less:1" });
  expect((await node.inspect(json.cuid)).Config.Cmd).toEqual(["/own/echo", "no shell"]);
  await example("POST", `/containers/${json.cuid}/start`);
  expect(await until(async () => (await log(json.cuid)) === "no shell\n", DEADLINE_MS)).toBe(true);
});

test("the list filters by status and tags, and pages", async () => {
  const made: string[] = [];
  for (const tags of [["web", "a"], ["web"], ["db"]]) made.push((await create({ tags })).json.cuid);
  const [a, b, c] = made as [string, string, string];
  await example("POST", `/containers/${a}/start`);
  await example("POST", `/containers/${b}/start`);
  await example("POST", `/containers/${b}/pause`);
  const listed = async (query: string) =>
    (await example("GET", `/containers?${query}`)).json.containers.map((each: { cuid: string }) => each.cuid).sort();
  expect(await listed("status=running,paused")).toEqual([a, b].sort());
  expect(await listed("tags=web")).toEqual([a, b].sort());
  expect(await listed("tags=web,a")).toEqual([a]);
  expect(await listed("")).toEqual(made.sort());
  const seen: string[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const { json } = await example("GET", `/containers?limit=2${cursor && `&cursor=${cursor}`}`);
    seen.push(...json.containers.map((each: { cuid: string }) => each.cuid));
    cursor = json.next_cursor;
  }
  expect(seen.sort()).toEqual([a, b, c].sort());
  expect((await example("GET", "/containers?status=running")).json.containers).toMatchObject([
    { cuid: a, tags: ["web", "a"], status: "running" },
  ]);
});

test("a repeated Idempotency-Key creates one container", async () => {
  const keyed = () => node.request("POST", "/containers", { json: { image: "busybox" }, headers: { "Idempotency-Key": "once" } });
  const [first, second] = [await keyed(), await keyed()];
  expect([first.status, second.status]).toEqual([201, 200]);
  expect(second.json).toMatchObject({ cuid: first.json.cuid, repeated: true });
  await node.request("PATCH", `/containers/${first.json.cuid}`, { json: { tags: ["x"] } });
  expect((await keyed()).json).toMatchObject({ cuid: first.json.cuid, repeated: true });
});

test("healthz reports Compose's version", async () => {
  expect((await curl(`${base}/healthz`, "-H", BASIC)).json).toMatchObject({ compose_version: expect.stringMatching(/^\d+\.\d+/) });
});
