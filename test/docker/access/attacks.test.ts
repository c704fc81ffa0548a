import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { narrowToken } from "../../../lib/access/token";
import { until } from "../../../scripts/process";
import { auditEntries, type OneNode, startNode } from "../../support/single-node";
import { attacksOf, ENCODINGS, holderOf, narrowTokenOf, sendEncoded, type Victim } from "../../support/token-attacks";

const unique = randomUUID().slice(0, 8);
const SECRET = `secret-${unique}`;
const victim: Victim = {
  name: `victim-${unique}`,
  id: "",
  lookalike: `lookalike-${unique}`,
  volume: `volume-${unique}`,
  image: `labelled-${unique}`,
  network: `network-${unique}`,
  node: "only",
  secret: SECRET,
};
let node: OneNode;
let revokedFile: string;
let token: string;
let request: ReturnType<typeof holderOf>;

beforeAll(async () => {
  revokedFile = path.join(mkdtempSync(path.join(tmpdir(), "revoked-")), "ids");
  writeFileSync(revokedFile, "# none\n");
  node = await startNode({ name: "access", args: ["--node_name", victim.node, "--revoked", revokedFile] });
  token = narrowTokenOf({ labels: { customer: "a" } });
  request = holderOf(node.server.url, token);
  const script = `echo ${SECRET} > /secret; echo ${SECRET} | tee /v/secret; sleep 100000`;
  const box = ["--volume", `${victim.volume}:/v`, "--env", `KEY=${SECRET}`, "--publish", "80", "busybox", "sh", "-c", script];
  await node.docker("volume", "create", "--label", "customer=b", victim.volume);
  await node.docker("network", "create", "--label", "customer=b", victim.network);
  await node.docker("run", "--detach", "--init", "--name", victim.name, "--label", "customer=b", ...box);
  victim.id = (await node.inspect(victim.name)).Id;
  await node.docker("create", "--name", `base-${unique}`, "busybox", "true");
  await node.docker("commit", "--change", "LABEL customer=a", "--change", "LABEL docker-server.cuid=x", `base-${unique}`, victim.image);
  await node.docker("run", "--detach", "--init", "--name", victim.lookalike, victim.image, "sleep", "100000");
});
afterAll(async () => {
  const names = (await node?.docker("ps", "--all", "--quiet"))?.split("\n").filter(Boolean) ?? [];
  if (names.length > 0) await node.docker("rm", "--force", "--volumes", ...names);
  await node?.docker("network", "rm", victim.network);
  const volumes = (await node.docker("volume", "ls", "--quiet")).split("\n").filter(Boolean);
  if (volumes.length > 0) await node.docker("volume", "rm", ...volumes);
  await node.docker("rmi", "--force", victim.image);
  await node?.stop();
  rmSync(path.dirname(revokedFile), { recursive: true });
});

/** Everything of the host that an attack could change. */
async function state(): Promise<unknown> {
  const { State, Name, Config } = await node.inspect(victim.id);
  const containers = (await node.names()).filter((name) => !name.startsWith("attack-"));
  const volumes = (await node.docker("volume", "ls", "--quiet")).split("\n").filter((name) => !name.startsWith("attack-"));
  return { running: State.Running, pid: State.Pid, Name, env: Config.Env, containers, volumes: volumes.sort() };
}

test("none of the tries of a confined token at what is another's succeeds, tells of it or changes it", async () => {
  const before = await state();
  const attacks = attacksOf(node.server.url, token, victim);
  expect(attacks.length).toBeGreaterThanOrEqual(60);
  const faults: unknown[] = [];
  for (const { name, send } of attacks) {
    const answer = await send();
    const told = [SECRET, victim.id].filter(
      (text) =>
        answer.text.includes(text) && !(name.includes(victim.id.slice(0, 12)) || answer.text.includes(`No such container: ${text}`)),
    );
    if (answer.status < 400 || answer.status >= 500 || told.length > 0) faults.push([name, answer.status, answer.text.slice(0, 300)]);
  }
  expect(faults).toEqual([]);
  expect(await state()).toEqual(before);
});

test("a confined token lists nothing of others, in any list", async () => {
  for (const path of ["/", "/containers?all=true", "/volumes"]) {
    const { status, text } = await request("GET", path);
    expect([path, status]).toEqual([path, 200]);
    for (const name of [victim.name, victim.lookalike, victim.volume, victim.id]) expect(text).not.toContain(name);
  }
});

test("what a confined token makes on every surface has its labels, and is its own to use", async () => {
  const name = `attack-own-${unique}`;
  const made = await request("PUT", "/", {
    json: {
      image: "busybox",
      name,
      detach: true,
      init: true,
      labels: { customer: "b" },
      volumes: { [`attack-v-${unique}`]: "/v" },
      data: "sleep 100000",
    },
  });
  expect([made.status, made.text]).toEqual([200, expect.any(String)]);
  expect((await node.inspect(name)).Config.Labels).toMatchObject({ customer: "a" });
  expect(JSON.parse(await node.docker("volume", "inspect", `attack-v-${unique}`))[0].Labels).toEqual({ customer: "a" });
  expect((await request("POST", `/${name}`, { json: { data: "echo hello" } })).json.stdout).toBe("hello\n");
  expect((await request("GET", "/")).json.map((each: { name: string }) => each.name)).toEqual([name]);
  expect((await request("GET", "/volumes")).json.volumes.map((each: { name: string }) => each.name)).toEqual([`attack-v-${unique}`]);
  expect(
    (await request("PUT", "/", { json: { image: "busybox", name: `attack-ns-${unique}`, network: `container:${name}`, data: "hostname" } }))
      .json.exit_code,
  ).toBe(0);
  const managed = await request("POST", "/containers", { json: { image: "busybox", command: "sleep 100000", tags: ["x"] } });
  expect([managed.status, managed.text]).toEqual([201, expect.any(String)]);
  const { cuid } = managed.json;
  expect((await node.inspect(cuid)).Config.Labels).toMatchObject({ customer: "a" });
  expect((await request("PATCH", `/containers/${cuid}`, { json: { env: { A: "b" } } })).status).toBe(200);
  expect((await node.inspect(cuid)).Config.Labels).toMatchObject({ customer: "a" });
  const ran = await request("POST", "/run", { json: { image: "busybox", pull_policy: "never", command: "echo once" } });
  expect([ran.status, ran.json.stdout]).toEqual([200, "once\n"]);
  const payload = { image: "busybox", payload: { a: 1 } };
  expect((await request("POST", "/run", { json: payload })).status).toBe(400); // its program writes no object
  for (const each of [name, `attack-ns-${unique}`, cuid]) expect((await request("DELETE", `/${each}`)).status).toBe(200);
  expect((await request("DELETE", `/volumes/attack-v-${unique}`)).status).toBe(200);
});

test("what a confined token makes through the Docker API has its labels, and is its own to use", async () => {
  const ask = (method: string, path: string, json?: unknown) => request(method, `/v1.41${path}`, json === undefined ? {} : { json });
  const [name, volume, network] = ["own", "volume", "net"].map((each) => `attack-api-${each}-${unique}`) as [string, string, string];
  expect((await ask("POST", "/networks/create", { Name: network, Labels: { customer: "b" } })).status).toBe(201);
  expect((await ask("POST", "/volumes/create", { Name: `${volume}-2` })).json.Labels).toEqual({ customer: "a" });
  const made = await ask("POST", `/containers/create?name=${name}`, {
    Image: "busybox",
    Cmd: ["sleep", "100000"],
    Labels: { customer: "b" },
    HostConfig: { Init: true, Binds: [`${volume}:/v`, `${volume}-2:/w`], NetworkMode: network },
    NetworkingConfig: { EndpointsConfig: { [network]: { Aliases: ["own"] } } },
  });
  expect([made.status, made.text]).toEqual([201, expect.any(String)]);
  expect((await node.inspect(name)).Config.Labels).toEqual({ customer: "a" });
  expect(JSON.parse(await node.docker("volume", "inspect", volume))[0].Labels).toEqual({ customer: "a" });
  expect((await ask("POST", `/containers/${name}/start`)).status).toBe(204);
  // Another's container in the same network is not shown.
  await node.docker("network", "connect", network, victim.name);
  expect(Object.keys((await ask("GET", `/networks/${network}`)).json.Containers)).toEqual([made.json.Id]);
  await node.docker("network", "disconnect", network, victim.name);
  const joined = await ask("POST", "/containers/create", {
    Image: "busybox",
    HostConfig: { NetworkMode: `container:${name}`, VolumesFrom: [name] },
  });
  expect([joined.status, joined.text]).toEqual([201, expect.any(String)]);
  const foreign = await node.request("POST", `/v1.41/containers/${victim.id}/exec`, {
    json: { Cmd: ["cat", "/secret"], AttachStdout: true },
  });
  for (const [method, path] of [
    ["GET", "json"],
    ["POST", "start"],
    ["POST", "resize?h=1&w=1"],
  ] as const)
    expect((await ask(method, `/exec/${foreign.json.Id}/${path}`, method === "POST" ? {} : undefined)).status).toBe(404);
  for (const id of [name, joined.json.Id]) expect((await ask("DELETE", `/containers/${id}?force=1`)).status).toBe(204);
  expect((await ask("DELETE", `/networks/${network}`)).status).toBe(204);
  for (const each of [volume, `${volume}-2`]) expect((await ask("DELETE", `/volumes/${each}`)).status).toBe(204);
});

test("an Idempotency-Key of another client leads to nothing of it", async () => {
  const headers = { "Idempotency-Key": `key-${unique}` };
  const json = { image: "busybox", detach: true, init: true, data: "sleep 100000" };
  const first = await node.request("PUT", "/", { json, headers });
  const second = await request("PUT", "/", { json, headers });
  expect([first.status, second.status]).toEqual([200, 200]);
  expect(second.json.id).not.toBe(first.json.id);
  expect((await request("PUT", "/", { json, headers })).json).toMatchObject({ id: second.json.id, repeated: true });
  for (const { json: made } of [first, second]) await node.request("DELETE", `/${made.name}`);
});

test("each caveat refuses with its name, and the audit log names the token and the decision", async () => {
  const cases: [Parameters<typeof narrowTokenOf>[0], string, string, object | undefined, string][] = [
    [{ can: ["read"] }, "GET", `/${victim.name}`, undefined, "can"],
    [{ can: ["read"] }, "PUT", "/", { image: "busybox" }, "can"],
    [{ images: ["redis"] }, "PUT", "/", { image: "busybox" }, "images"],
    [{ images: ["redis"] }, "POST", "/run", { image: "busybox" }, "images"],
    [{ images: ["redis"] }, "POST", "/run", { image: "busybox", payload: {} }, "images"],
    [{ images: ["redis"] }, "POST", "/containers", { image: "busybox" }, "images"],
    [{ images: ["redis"] }, "POST", "/images/pull", { image: "busybox" }, "images"],
    [{ images: ["redis"] }, "DELETE", "/images/busybox", undefined, "images"],
    [{ nodes: ["another"] }, "GET", `/${victim.name}`, undefined, "nodes"],
    [{ from: ["10.0.0.0/8"] }, "GET", "/", undefined, "from"],
    [{}, "PUT", "/", { image: "busybox", volumes: { "/etc": "/v" } }, "host"],
    [{ host: ["/srv"] }, "PUT", "/", { image: "busybox", volumes: { "/srv/../etc": "/v" } }, "host"],
    [{}, "POST", "/volume", { name: `attack-o-${unique}`, driver_opts: { type: "tmpfs", device: "tmpfs" } }, "host"],
  ];
  for (const [caveats, method, path, json, caveat] of cases) {
    const narrow = narrowTokenOf(caveats);
    const answer = await holderOf(node.server.url, narrow)(method, path, json ? { json } : {});
    expect([caveats, path, answer.status, answer.json.code, answer.json.details?.caveat]).toEqual([
      caveats,
      path,
      403,
      "REFUSED_BY_TOKEN",
      caveat,
    ]);
    const entries = () => auditEntries(node.server).filter(({ token: id }) => id === narrow.slice(4, 20));
    expect(await until(async () => entries().length > 0, 5000)).toBe(true);
    expect(entries().map(({ decision }) => decision)).toEqual([`refused by ${caveat}`]);
  }
  const images = await holderOf(node.server.url, narrowTokenOf({ images: ["redis"] }))("GET", "/images");
  expect(images.json.images).toEqual([]);
  const named = await holderOf(node.server.url, narrowTokenOf({ images: ["busybox"] }))("GET", "/images");
  expect(named.json.images.map(({ tags }: { tags: string[] }) => tags)).toEqual([["busybox:latest"]]);
});

test.each(ENCODINGS)(
  "a body that is sent in chunks and encoded as %s is read, so that the attacks with such bodies reach what refuses them",
  async (kind) => {
    const json = { method: "PUT", path: "/", image: "busybox" };
    expect((await sendEncoded(node.server.url, token, "POST", "/tokens/check", json, kind)).json).toMatchObject({ allowed: true });
  },
);

/** A quota of labels that no other test uses, and requests of its holder. */
function limitedTo(max: object) {
  const labels = { tenant: randomUUID() };
  const holder = holderOf(node.server.url, narrowTokenOf({ labels, max }));
  const names = async (...filters: string[]) =>
    (await node.docker("ps", "--all", "--format", "{{.Names}}", "--filter", `label=tenant=${labels.tenant}`, ...filters))
      .split("\n")
      .filter(Boolean);
  const removeAll = async () => {
    for (const name of await names()) expect((await holder("DELETE", `/${name}`)).status).toBe(200);
  };
  return { labels, holder, names, removeAll };
}
const sleeper = { image: "busybox", detach: true, init: true, data: "sleep 100000" };

test("of creations at once no more are carried out than a token may have containers, on every surface", async () => {
  const { labels, holder, names, removeAll } = limitedTo({ containers: 2 });
  const key = { "Idempotency-Key": `quota-${unique}` };
  const first = await holder("PUT", "/", { json: sleeper, headers: key });
  expect([first.status, first.text]).toEqual([200, expect.any(String)]);
  const answers = await Promise.all(Array.from({ length: 4 }, () => holder("PUT", "/", { json: sleeper })));
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 403, 403, 403]);
  expect(await names()).toHaveLength(2);
  const details = { caveat: "max", quota: "containers", limit: 2, used: 2, requested: 1 };
  // Others that are refused too may still exist when it is counted.
  const refusal = { code: "REFUSED_BY_TOKEN", details: { ...details, used: expect.any(Number) } };
  expect(answers.find(({ status }) => status === 403)?.json).toMatchObject(refusal);
  expect((await holder("POST", "/containers", { json: { image: "busybox" } })).json.details).toEqual(details);
  expect((await holder("POST", "/containers/run", { json: { image: "busybox", container_port: 80 } })).json.details).toEqual(details);
  const tool = { name: "run_container", arguments: { image: "busybox", command: ["sleep", "100000"], detach: true } };
  expect((await holder("POST", "/mcp", { json: { jsonrpc: "2.0", id: 1, method: "tools/call", params: tool } })).text).toContain("(max)");
  expect(await names()).toHaveLength(2);
  // Neither a repeated request nor a start adds a container, unless there are too many already.
  expect((await holder("PUT", "/", { json: sleeper, headers: key })).json).toMatchObject({ id: first.json.id, repeated: true });
  expect((await holder("POST", `/containers/${first.json.id}/stop?timeout=0`)).status).toBe(200);
  expect((await holder("PUT", "/", { json: sleeper })).status).toBe(403);
  expect((await holder("POST", `/containers/${first.json.id}/start`)).status).toBe(200);
  const name = `wider-${unique}`;
  expect((await node.request("PUT", "/", { json: { ...sleeper, name, labels } })).status).toBe(200);
  expect((await holder("POST", `/containers/${name}/stop?timeout=0`)).status).toBe(200);
  for (const action of ["start", "restart"])
    expect((await holder("POST", `/containers/${name}/${action}`)).json.details).toEqual({ ...details, used: 3, requested: 0 });
  expect((await holder("GET", "/whoami")).json.quotas).toMatchObject([
    { labels, max: { containers: 2 }, used: { containers: 3, runs: 0 } },
  ]);
  await removeAll();
  expect((await holder("PUT", "/", { json: { ...sleeper, detach: false, data: "true", remove: true } })).status).toBe(200);
});

test("containers that are created through the Docker API count for a quota, and their limits can't be changed", async () => {
  const { holder, names, removeAll } = limitedTo({ containers: 2 });
  const create = () => holder("POST", "/v1.41/containers/create", { json: { Image: "busybox", Cmd: ["true"] } });
  const statuses = (await Promise.all(Array.from({ length: 4 }, create))).map(({ status }) => status);
  expect(statuses.sort()).toEqual([201, 201, 403, 403]);
  const left = await names();
  expect(left).toHaveLength(2);
  expect((await holder("POST", `/v1.41/containers/${left[0]}/update`, { json: { Memory: 0 } })).status).toBe(403);
  expect((await holder("POST", `/v1.41/containers/${left[0]}/start`)).status).toBe(204);
  await removeAll();
});

test("memory and cores are counted by the limits of containers, also after a change, and without a limit as all of the host", async () => {
  const { holder, names, removeAll } = limitedTo({ memory: 96 * 2 ** 20, cpus: 1 });
  const made = await holder("POST", "/containers", { json: { image: "busybox", resources: { memory: "64m", cpus: 0.5 } } });
  expect([made.status, made.text]).toEqual([201, expect.any(String)]);
  const refusedFor = async (quota: string, method: string, path: string, json: object) => {
    const answer = await holder(method, path, { json });
    expect([path, answer.status, answer.json.details?.quota]).toEqual([path, 403, quota]);
  };
  await refusedFor("memory", "PUT", "/", { ...sleeper, memory: "64m", cpus: 0.1 });
  await refusedFor("memory", "PUT", "/", { ...sleeper, cpus: 0.1 });
  await refusedFor("cpus", "PUT", "/", { ...sleeper, memory: "32m", cpus: 0.6 });
  await refusedFor("cpus", "POST", "/run", { image: "busybox", pull_policy: "never", command: "true", memory: 32 * 2 ** 20 });
  const path = `/containers/${made.json.cuid}`;
  await refusedFor("memory", "PATCH", path, { resources: { memory: "128m" } });
  await refusedFor("memory", "PATCH", path, { resources: { memory: null } });
  const { HostConfig } = await node.inspect(made.json.cuid);
  expect(HostConfig.Memory).toBe(64 * 2 ** 20);
  expect((await holder("PATCH", path, { json: { resources: { memory: "96m" } } })).status).toBe(200);
  await refusedFor("memory", "PUT", "/", { ...sleeper, memory: "6m", cpus: 0.1 });
  expect(await names()).toEqual([made.json.cuid]);
  await removeAll();
});

test("of runs at once no more are carried out than a token may have, and the next one may begin when one is answered", async () => {
  const { holder, names } = limitedTo({ runs: 1 });
  const job = { image: "busybox", pull_policy: "never", command: "sleep 1" };
  const answers = await Promise.all([1, 2, 3].map(() => holder("POST", "/run", { json: job })));
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 403, 403]);
  // Its program writes no object: it has run.
  const code = { image: "busybox", payload: { a: 1 } };
  for (const json of [code, code, { ...job, command: "true" }])
    expect((await holder("POST", "/run", { json })).status).toBe(json === code ? 400 : 200);
  expect(await until(async () => (await names()).length === 0, 10_000)).toBe(true);
  const none = limitedTo({ runs: 0 });
  for (const json of [code, job])
    expect((await none.holder("POST", "/run", { json })).json.details).toMatchObject({ caveat: "max", quota: "runs" });
});

test("a token is accepted in every form, and inspect shows the environment only to who may exec", async () => {
  const reader = narrowTokenOf({ can: ["read"] });
  const forms = [
    { Authorization: `Bearer ${reader}` },
    { Authorization: `Basic ${Buffer.from(reader).toString("base64")}` },
    { Authorization: `Basic ${Buffer.from(`anyone:${reader}`).toString("base64")}` },
    { "X-Access-Token": reader },
    { "X-API-Key": reader },
  ] as Record<string, string>[];
  for (const headers of forms) {
    const answer = await node.request("GET", `/containers/${victim.name}`, { anonymous: true, headers });
    expect([answer.status, answer.json.env]).toEqual([200, {}]);
  }
  const executor = holderOf(node.server.url, narrowToken(narrowTokenOf({}), { can: ["read", "exec"] }));
  expect((await executor("GET", `/containers/${victim.name}`)).json.env).toEqual({ KEY: SECRET });
});

test("a followed log ends with its token", async () => {
  const short = narrowTokenOf({ can: ["logs"], expires: Math.ceil(Date.now() / 1000) + 2 });
  const ended = holderOf(node.server.url, short)("GET", `/${victim.name}?follow=true`).then(
    () => "ended",
    () => "cut",
  );
  expect(await ended).toBe("cut");
  expect((await holderOf(node.server.url, short)("GET", `/${victim.name}`)).json.code).toBe("TOKEN_REFUSED");
});

test("a revoked id ends all tokens of its chain, and what they have open", async () => {
  const narrow = narrowTokenOf({ can: ["logs"] });
  const follow = holderOf(node.server.url, narrowToken(narrow, { can: ["logs"] }))("GET", `/${victim.name}?follow=true`).then(
    () => "ended",
    () => "cut",
  );
  await holderOf(node.server.url, narrow)("GET", `/${victim.name}`);
  writeFileSync(revokedFile, `${narrow.slice(4, 20)} # left the company\n`);
  expect(await follow).toBe("cut");
  expect((await holderOf(node.server.url, narrow)("GET", `/${victim.name}`)).json.code).toBe("TOKEN_REFUSED");
});

test("tools/list holds only what the token may call", async () => {
  const list = { json: { jsonrpc: "2.0", id: 1, method: "tools/list" } };
  const names = async (caveats: Parameters<typeof narrowTokenOf>[0]) => {
    const { json } = await holderOf(node.server.url, narrowTokenOf(caveats))("POST", "/mcp", list);
    return (json.result.tools as { name: string }[]).map(({ name }) => name);
  };
  expect(await names({ can: ["logs"] })).toEqual(expect.arrayContaining(["logs"]));
  expect(await names({ can: ["logs"] })).not.toContain("exec");
});

test("tokens are made, described and checked over HTTP, and one made with a narrow token permits no more", async () => {
  const made = await node.request("POST", "/tokens", { json: { can: ["read", "admin"], expires: "1h" } });
  expect([made.status, made.text]).toEqual([201, expect.any(String)]);
  const holder = holderOf(node.server.url, made.json.token);
  expect((await holder("GET", "/whoami")).json).toMatchObject({ full: false, can: ["read", "admin"], id: made.json.id });
  expect((await node.request("GET", "/whoami")).json).toMatchObject({ full: true });
  const narrower = (await holder("POST", "/tokens", { json: { can: ["read", "exec"] } })).json;
  expect(narrower.id).toBe(made.json.id);
  expect((await holder("POST", "/tokens", { json: { can: ["exec"] } })).json).toMatchObject({
    status: 400,
    code: "INVALID_CAN",
    message: "can must share a permission with the token, which has read, admin",
  });
  expect((await node.request("POST", "/tokens", { json: { can: "read", expires: "1h" } })).json.message).toBe(
    'can must be a list in JSON, not in a form, such as ["read"]',
  );
  expect((await node.request("POST", "/tokens", { json: { expires: 3600 } })).json).toMatchObject({ status: 400, code: "INVALID_EXPIRES" });
  expect((await holder("POST", "/tokens", { json: { max: { containers: 1 } } })).json).toMatchObject({
    status: 400,
    code: "INVALID_INPUT",
    message: "No such token is made: The token has max without labels",
  });
  const narrowest = holderOf(node.server.url, narrower.token);
  expect((await narrowest("GET", "/whoami")).json.can).toEqual(["read"]);
  expect((await narrowest("POST", "/tokens", { json: {} })).json.code).toBe("REFUSED_BY_TOKEN");
  const checks: [object, object][] = [
    [
      { method: "GET", path: "/" },
      { allowed: true, permission: "read" },
    ],
    [
      { method: "PUT", path: "/" },
      { allowed: false, permission: "containers", caveat: "can" },
    ],
    [
      { method: "GET", path: "/version" },
      { allowed: true, permission: "read" },
    ],
    [
      { method: "GET", path: "/anything" },
      { allowed: false, permission: "logs" },
    ],
    [
      { method: "GET", path: "/containers/x/logs" },
      { allowed: false, permission: "logs" },
    ],
  ];
  for (const [json, expected] of checks) expect((await narrowest("POST", "/tokens/check", { json })).json).toMatchObject(expected);
  const labelled = holderOf(node.server.url, narrowTokenOf({ labels: { team: "a" } }));
  const removal = { method: "DELETE", path: "/web" };
  expect((await labelled("POST", "/tokens/check", { json: removal })).json).toEqual({
    allowed: true,
    permission: "containers",
    labels: { team: "a" },
  });
});

test("a token that may mount a folder of the host doesn't leave it by links that its container swaps", async () => {
  const folder = mkdtempSync(path.join(tmpdir(), "docker-server-host-"));
  try {
    const holder = holderOf(node.server.url, narrowTokenOf({ host: [folder] }));
    const swap = "cd /d; while :; do mkdir s; rmdir s; ln -s /etc s; rm s; done";
    const swapper = { image: "busybox", name: `swapper-${unique}`, detach: true, init: true, data: ["sh", "-c", swap] };
    expect((await holder("PUT", "/", { json: { ...swapper, volumes: { [folder]: "/d" } } })).status).toBe(200);
    for (let turn = 0; turn < 20; turn++) {
      const { status } = await holder("PUT", "/", { json: { ...sleeper, volumes: { [path.join(folder, "s")]: "/d" } } });
      expect(status).toBeGreaterThanOrEqual(400);
    }
  } finally {
    await node.docker("rm", "--force", `swapper-${unique}`);
    rmSync(folder, { recursive: true });
  }
});
