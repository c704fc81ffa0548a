import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { narrowToken } from "../../../lib/access/token";
import { until } from "../../../scripts/process";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import { becomesComplete } from "../../support/cluster-containers";
import { TOKEN } from "../../support/server";
import { dockerOf } from "../../support/single-node";
import { attacksOf, holderOf, narrowTokenOf, type Victim } from "../../support/token-attacks";

const unique = randomUUID().slice(0, 8);
const SECRET = `secret-${unique}`;
const victim: Victim = {
  name: `victim-${unique}`,
  id: "",
  lookalike: `lookalike-${unique}`,
  volume: `volume-${unique}`,
  image: `labelled-${unique}`,
  network: `network-${unique}`,
  node: "n2",
  secret: SECRET,
};
const token = narrowTokenOf({ labels: { customer: "a" } });
let cluster: TestCluster;
let [n1, n2, n3] = [] as unknown as [TestNode, TestNode, TestNode];
const docker = (...args: string[]) => dockerOf(n2.engine, args);

beforeAll(async () => {
  cluster = await startCluster({ size: 3 });
  [n1, n2, n3] = cluster.nodes as [TestNode, TestNode, TestNode];
  await docker("volume", "create", "--label", "customer=b", victim.volume);
  await docker("network", "create", "--label", "customer=b", victim.network);
  const script = `echo ${SECRET} > /secret; echo ${SECRET} | tee /v/secret; sleep 100000`;
  const box = ["--volume", `${victim.volume}:/v`, "--publish", "80", "busybox", "sh", "-c", script];
  victim.id = await docker("run", "--detach", "--init", "--name", victim.name, "--label", "customer=b", ...box);
  await docker("create", "--name", `base-${unique}`, "busybox", "true");
  await docker("commit", "--change", "LABEL customer=a", `base-${unique}`, victim.image);
  await docker("run", "--detach", "--init", "--name", victim.lookalike, victim.image, "sleep", "100000");
});
afterAll(async () => {
  for (const { engine } of cluster?.nodes ?? []) {
    const lines = async (...args: string[]) => (await dockerOf(engine, args)).split("\n").filter(Boolean);
    const containers = await lines("ps", "--all", "--quiet");
    if (containers.length > 0) await dockerOf(engine, ["rm", "--force", "--volumes", ...containers]);
    const volumes = await lines("volume", "ls", "--quiet");
    if (volumes.length > 0) await dockerOf(engine, ["volume", "rm", ...volumes]);
  }
  await docker("network", "rm", victim.network);
  await docker("rmi", "--force", victim.image);
  await cluster?.stop();
});

test("none of the tries of a confined token succeeds through any of three nodes", async () => {
  const before = await docker("inspect", "--format", "{{.State.Pid}} {{.Name}} {{.State.Status}}", victim.id);
  const faults: unknown[] = [];
  for (const { server } of cluster.nodes) {
    for (const { name, send } of attacksOf(server.url, token, victim)) {
      // The volume's name is free on the other nodes: there it is the token's own.
      if (/its volume|run_container|read_volume/.test(name) && /^(?:fill|create|PUT|POST|MCP)/.test(name)) continue;
      const answer = await send();
      const told = answer.text.includes(SECRET) || (answer.status === 409 && answer.text.includes(victim.id));
      if (answer.status < 400 || answer.status >= 500 || told) faults.push([server.url, name, answer.status, answer.text.slice(0, 300)]);
    }
  }
  expect(faults).toEqual([]);
  expect(await docker("inspect", "--format", "{{.State.Pid}} {{.Name}} {{.State.Status}}", victim.id)).toBe(before);
});

test("through every node a confined token lists, reads and uses its own, and nothing else", async () => {
  const json = { image: "busybox", name: `own-${unique}`, detach: true, init: true, data: "sleep 100000" };
  const made = await holderOf(n1.server.url, token)("PUT", "/?node=n3", { json });
  expect([made.status, made.text]).toEqual([200, expect.any(String)]);
  for (const { server } of cluster.nodes) {
    const request = holderOf(server.url, token);
    expect((await request("GET", "/")).json.map(({ name }: { name: string }) => name)).toEqual([json.name]);
    expect((await request("GET", "/containers?all=true")).json.containers.map(({ name }: { name: string }) => name)).toEqual([json.name]);
    expect((await request("GET", "/volumes")).json).toMatchObject({ volumes: [], complete: true });
    expect((await request("POST", `/${json.name}`, { json: { data: "echo hello" } })).json[0].stdout).toBe("hello\n");
  }
  expect((await holderOf(n2.server.url, token)("DELETE", `/${json.name}`)).status).toBe(200);
});

test("a token for one node finds, lists and runs there only, through any node", async () => {
  const narrow = narrowTokenOf({ nodes: ["n3"] });
  for (const { server } of cluster.nodes) {
    const request = holderOf(server.url, narrow);
    expect((await request("GET", `/containers/${victim.name}`)).status).toBe(404);
    expect((await request("GET", "/")).json).toEqual([]);
    expect((await request("GET", "/nodes")).json?.nodes?.map(({ name }: { name: string }) => name) ?? ["n3"]).toEqual(["n3"]);
    const ran = await request("POST", "/run", { json: { image: "busybox", pull_policy: "never", command: "true" } });
    expect([ran.status, ran.json.host]).toEqual([200, "n3"]);
    expect((await request("PUT", "/?node=n2", { json: { image: "busybox" } })).status).toBeGreaterThanOrEqual(403);
    expect((await request("GET", "/whoami")).json).toMatchObject({ caveats: [{ nodes: ["n3"] }] });
    expect((await request("GET", "/version")).status).toBe(200);
    const check = { method: "GET", path: "/", node: "n2" };
    expect((await request("POST", "/tokens/check", { json: check })).json).toMatchObject({
      allowed: false,
      message: expect.stringContaining("may on n3"),
    });
  }
  expect((await holderOf(n1.server.url, narrowTokenOf({ from: ["192.0.2.1"] }))("GET", `/${victim.name}`)).json.details.caveat).toBe(
    "from",
  );
  expect((await holderOf(n3.server.url, narrowTokenOf({ can: ["read"] }))("GET", `/${victim.name}`)).json.details.caveat).toBe("can");
});

test("through every node the audit log of all nodes comes in the order of time, for a token for one node that of this node", async () => {
  const since = new Date().toISOString();
  for (const { server } of cluster.nodes)
    await holderOf(server.url, token)("GET", "/", { headers: { "X-Request-Id": `audited-${unique}` } });
  const admin = { n1: narrowTokenOf({ can: ["admin"] }), n3: narrowTokenOf({ can: ["admin"], nodes: ["n3"] }) };
  const read = async (url: string, holder: string) => {
    const answer = await holderOf(url, holder)("GET", `/audit?since=${since}&request_id=audited-${unique}`);
    expect([answer.status, answer.headers.get("x-cluster-missing")]).toEqual([200, null]);
    const events = answer.text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const times = events.slice(0, -1).map(({ timestamp }) => timestamp);
    expect(times).toEqual([...times].sort());
    expect(events.at(-1)).toEqual({ event: "result", entries: times.length, damaged_lines: 0, complete: true, missing: [] });
    const audited = events.slice(0, -1);
    for (const { request_id } of audited) expect(request_id).toBe(`audited-${unique}`);
    return new Set(audited.map(({ node, decision }) => `${node} ${decision}`));
  };
  for (const { server } of cluster.nodes) {
    const all = new Set(["n1 allowed", "n2 allowed", "n3 allowed"]);
    expect(await until(async () => isDeepStrictEqual(await read(server.url, admin.n1), all), 10_000)).toBe(true);
    expect(await read(server.url, admin.n3)).toEqual(new Set(["n3 allowed"]));
    expect((await holderOf(server.url, token)("GET", "/audit")).status).toBe(403);
  }
});

describe("a quota", () => {
  const labels = { tenant: unique };
  const max = { containers: 4, memory: 2 ** 30 };
  const narrow = narrowTokenOf({ labels, max });
  const sleeper = { image: "busybox", detach: true, init: true, data: "sleep 100000", memory: "64m" };
  const counts = () =>
    Promise.all(
      cluster.nodes.map(async ({ engine }) => {
        const lines = await dockerOf(engine, ["ps", "--all", "--quiet", "--filter", `label=tenant=${unique}`]);
        return lines.split("\n").filter(Boolean).length;
      }),
    );
  const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);

  test("is counted over all nodes: of creations on three nodes at once exactly as many as it permits are carried out", async () => {
    // Narrower tokens of one chain count together.
    const holders = [narrow, narrowToken(narrow, { can: ["containers"] }), narrowToken(narrow, { images: ["busybox"] })];
    const send = (index: number) => {
      const { server, name } = cluster.nodes[index % 3] as TestNode;
      return holderOf(server.url, holders[index % 3] as string)("PUT", `/?node=${name}`, { json: sleeper });
    };
    const answers = await Promise.all(Array.from({ length: 9 }, (_, index) => send(index)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 403, 403, 403, 403, 403]);
    const refused = answers.find(({ status }) => status === 403)?.json.details;
    expect(refused).toMatchObject({ caveat: "max", quota: "containers", limit: 4, requested: 1 });
    expect(sum(await counts())).toBe(4);
    for (const { server } of cluster.nodes) {
      const [quota] = (await holderOf(server.url, narrow)("GET", "/whoami")).json.quotas;
      expect(quota).toMatchObject({ labels, max, used: { containers: 4, memory: 4 * 64 * 2 ** 20 } });
    }
  });

  test("permits nothing new while a node can't be asked, and names it", async () => {
    await n3.server.stop("SIGKILL");
    const wide = narrowTokenOf({ labels, max: { containers: 100 } });
    const answer = await holderOf(n1.server.url, wide)("PUT", "/?node=n1", { json: sleeper });
    expect([answer.status, answer.json.code, answer.json.details.missing]).toEqual([
      503,
      "NODES_MISSING",
      [expect.objectContaining({ node: "n3" })],
    ]);
    expect(sum(await counts())).toBe(4);
    expect((await holderOf(n1.server.url, wide)("GET", "/whoami")).json.quotas[0].missing).toEqual(["n3"]);
  });
});

test("while the cluster key is replaced, tokens of the old and of the new key are valid through every node, and no others", async () => {
  const newKey = `new-key-${unique}`;
  await Promise.all(cluster.nodes.map(({ server }) => server.stop("SIGKILL")));
  await Promise.all(cluster.nodes.map((each) => cluster.restart(each, [`--cluster_key=${TOKEN}`, `--cluster_key=${newKey}`])));
  expect(await becomesComplete(cluster)).toBe(true);
  for (const { server } of cluster.nodes) {
    for (const secret of [TOKEN, newKey])
      expect((await holderOf(server.url, narrowTokenOf({ can: ["read"] }, secret))("GET", `/containers/${victim.name}`)).status).toBe(200);
    expect((await holderOf(server.url, narrowTokenOf({ can: ["read"] }, "dropped-key"))("GET", "/")).status).toBe(401);
  }
});
