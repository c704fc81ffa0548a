import { until } from "../../../scripts/process";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import {
  becomesComplete,
  listHeader,
  locate,
  removeAllContainers,
  uniqueName,
  waitForCachedAnswers,
} from "../../support/cluster-containers";
import { importWeb } from "../../support/images";
import { openEngineConnectionsOf } from "../../support/log-stream";
import { pushImage, type Registry, startRegistry } from "../../support/registry";
import { TOKEN } from "../../support/server";
import { dockerOf } from "../../support/single-node";

const DEADLINE_MS = 30_000;

let cluster: TestCluster;
let registry: Registry;
let [n1, n2, n3] = [] as unknown as [TestNode, TestNode, TestNode];
beforeAll(async () => {
  cluster = await startCluster({ size: 3, args: ["--peer_timeout=1500"] });
  [n1, n2, n3] = cluster.nodes as [TestNode, TestNode, TestNode];
  await Promise.all(cluster.nodes.map(({ engine }) => importWeb(engine)));
  registry = await startRegistry();
});
afterAll(async () => {
  await cluster?.stop();
  await registry?.stop();
});
afterEach(() => removeAllContainers(cluster));

const service = (through: TestNode, more: object = {}, node?: string) =>
  through.request("POST", node ? `/containers/run?node=${node}` : "/containers/run", {
    json: { image: "nginx", container_port: 80, name: uniqueName("web"), ...more },
  });

/** Freezes a node during the work; afterwards the cluster is complete again. */
async function without(node: TestNode, work: () => Promise<void>): Promise<void> {
  node.server.process.signal("SIGSTOP");
  try {
    await waitForCachedAnswers();
    await work();
  } finally {
    node.server.process.signal("SIGCONT");
  }
  expect(await becomesComplete(cluster)).toBe(true);
}

test("a container with namespaces of the host is entered, restarted and joined through no node", async () => {
  const name = uniqueName("foreign");
  await dockerOf(n2.engine, ["run", "--detach", "--pid=host", `--name=${name}`, "busybox", "sleep", "1000"]);
  const refused = { status: 403, code: "NOT_ALLOWED", details: { allow: "host_namespaces" } };
  expect((await n1.request("POST", `/${name}`, { json: { data: "id" } })).json).toMatchObject(refused);
  expect((await n3.request("POST", `/containers/${name}/restart`)).json).toMatchObject(refused);
  expect((await n1.request("GET", `/containers/${name}/files?path=/`)).json).toMatchObject(refused);
  for (const field of ["network", "pid", "ipc"]) {
    const json = { image: "busybox", data: "true", [field]: `container:${name}` };
    const { json: answer } = await n1.request("PUT", "/?node=n2", { json });
    expect([field, answer]).toMatchObject([field, { ...refused, details: { field, allow: "host_namespaces" } }]);
  }
});

test("a container is run, awaited and managed through nodes that don't hold it", async () => {
  const { status, json } = await service(n1, { wait_ready: true, health_path: "/" }, "n2");
  expect([status, json]).toMatchObject([200, { status: "running", host: "n2", container_port: 80, labels: { "dockapi.managed": "true" } }]);
  const at = `/containers/${json.name}`;
  expect((await n3.request("GET", at)).json).toMatchObject({ id: json.id, host: "n2", host_port: json.host_port });
  expect((await n3.request("GET", `/containers/${json.id.slice(0, 12)}/logs`)).text).toBe("serving\n");
  const exec = await n1.request("POST", `${at}/exec`, { json: { command: "sh -c 'echo out; echo err >&2; exit 2'" } });
  expect(exec.json).toMatchObject({ exit_code: 2, stdout: "out\n", stderr: "err\n", host: "n2" });
  expect((await n1.request("GET", `${at}/stats`)).json).toMatchObject({ id: json.id, host: "n2", pids: 1 });
  expect((await n1.request("GET", `${at}/top`)).json).toMatchObject({ host: "n2", processes: [expect.any(Array)] });
  for (const [action, state] of [
    ["pause", "paused"],
    ["unpause", "running"],
    ["stop?timeout=0", "exited"],
    ["start", "running"],
    ["restart?timeout=0", "running"],
  ])
    expect((await n3.request("POST", `${at}/${action}`)).json).toMatchObject({ id: json.id, status: state, host: "n2" });
  expect((await n1.request("DELETE", at)).json).toEqual({ id: json.id, name: json.name, removed: true, host: "n2" });
  expect((await n2.request("GET", at)).json).toMatchObject({ status: 404, code: "CONTAINER_NOT_FOUND" });
});

test("containers go to several nodes, and one that isn't ready is not started on another node", async () => {
  const ran = await Promise.all([1, 2, 3, 4, 5, 6].map(() => service(n1)));
  // The scheduler may skip a busy node.
  expect(new Set(ran.map(({ json }) => json.host)).size).toBeGreaterThan(1);
  const name = uniqueName("late");
  const late = await service(n1, { name, command: "sh -c 'echo never; sleep 1000'", wait_ready: true, health_path: "/", wait_timeout: 1 });
  expect(late.json).toMatchObject({ status: 504, code: "NOT_READY", details: { logs: "never\n" } });
  expect(await locate(cluster, name)).toHaveLength(1);
});

test("a container that joins another, or a network of one node, is placed where that is", async () => {
  const joined = uniqueName("vpn");
  const network = uniqueName("back");
  await dockerOf(n2.engine, ["run", "--detach", `--name=${joined}`, "busybox", "sleep", "1000"]);
  await dockerOf(n3.engine, ["network", "create", network]);
  const run = async (through: TestNode, fields: object) => {
    const json = { image: "busybox", command: ["sleep", "1000"], detach: true, pull_policy: "missing", ...fields };
    return (await through.request("PUT", "/", { json })).json;
  };
  expect(await run(n1, { network: `container:${joined}` })).toMatchObject({ host: "n2" });
  expect(await run(n3, { pid: `container:${joined}` })).toMatchObject({ host: "n2" });
  expect(await run(n1, { network })).toMatchObject({ host: "n3" });
  expect(await run(n1, { network: "container:nosuch" })).toMatchObject({ status: 404, code: "CONTAINER_NOT_FOUND" });
  expect(await run(n1, { network: "nosuch" })).toMatchObject({ status: 400, code: "INVALID_SPEC" });
});

test("an Idempotency-Key repeated through another node gets the same container and response", async () => {
  const through = (node: TestNode) =>
    node.request("POST", "/containers/run", { json: { image: "nginx", container_port: 80 }, headers: { "Idempotency-Key": "same" } });
  const first = await through(n1);
  expect((await through(n3)).json).toEqual({ ...first.json, repeated: true });
});

test("a name is unique in the whole pool, also when a container is renamed", async () => {
  const { json: first } = await service(n1, {}, "n1");
  const { json: second } = await service(n1, {}, "n2");
  expect((await service(n3, { name: first.name }, "n3")).json).toMatchObject({ status: 409, code: "NAME_TAKEN" });
  const rename = (name: string) => n3.request("POST", `/containers/${second.id}/rename`, { json: { name } });
  expect((await rename(first.name)).json).toMatchObject({ status: 409, code: "NAME_TAKEN" });
  const free = uniqueName("free");
  expect((await rename(free)).json).toMatchObject({ id: second.id, name: free, host: "n2" });
  expect(await locate(cluster, free)).toEqual(["n2:running"]);
});

test("a name on two nodes is a 409 that lists both, and ?node= selects one", async () => {
  const name = uniqueName("twice");
  for (const { engine } of [n1, n2]) await dockerOf(engine, ["run", "-d", "--name", name, "busybox", "sleep", "1000"]);
  for (const [method, path] of [
    ["GET", ""],
    ["POST", "/stop"],
    ["DELETE", ""],
  ] as const)
    expect((await n3.request(method, `/containers/${name}${path}`)).json).toMatchObject({
      status: 409,
      code: "AMBIGUOUS_ID",
      details: { candidates: expect.arrayContaining(["n1", "n2"]) },
    });
  expect((await n3.request("DELETE", `/containers/${name}?node=n2`)).json).toMatchObject({ removed: true, host: "n2" });
  expect((await n3.request("GET", `/containers/${name}`)).json).toMatchObject({ host: "n1" });
});

test("paging over all nodes lists each container exactly once while others are created and removed", async () => {
  const lasting: string[] = [];
  for (const node of ["n1", "n2", "n3", "n1", "n2", "n3", "n3"]) lasting.push((await service(n1, {}, node)).json.name);
  const removed = (await service(n1, {}, "n2")).json.name;
  const seen: string[] = [];
  let cursor: string | null = "";
  for (let page = 0; cursor !== null; page += 1) {
    const through = cluster.nodes[page % 3] as TestNode;
    const { json } = await through.request("GET", `/containers?limit=2${cursor && `&cursor=${cursor}`}`);
    expect(json).toMatchObject({ complete: true, missing: [] });
    expect(json.containers.length).toBeLessThanOrEqual(2);
    seen.push(...json.containers.map((each: { name: string }) => each.name));
    if (page === 1) {
      await service(n2, {}, "n3");
      await n1.request("DELETE", `/containers/${removed}`);
    }
    cursor = json.next_cursor;
  }
  expect(seen.filter((name) => name !== removed).sort()).toEqual([...lasting].sort());
  expect((await n1.request("GET", "/containers?node=n2")).json.containers.every((each: { host: string }) => each.host === "n2")).toBe(true);
});

test("with a missing node, lists are incomplete and a container not found is a 503", async () => {
  const { json } = await service(n1, {}, "n2");
  const { json: reachable } = await service(n1, {}, "n3");
  await without(n2, async () => {
    const answer = await n1.request("GET", "/containers");
    expect(answer.json).toMatchObject({ complete: false, missing: ["n2"], containers: [{ id: reachable.id, host: "n3" }] });
    expect(listHeader(answer, "x-cluster-missing")).toEqual(["n2"]);
    expect((await n3.request("GET", `/containers/${json.name}`)).json).toMatchObject({ status: 503, code: "NODES_MISSING" });
    expect((await n1.request("GET", "/images")).json).toMatchObject({ complete: false, missing: ["n2"] });
  });
  expect((await n3.request("GET", `/containers/${json.name}`)).json).toMatchObject({ host: "n2" });
});

test("the logs of all nodes are searched through any node, and a node that doesn't answer is named with the reason", async () => {
  const word = uniqueName("needle");
  await Promise.all(cluster.nodes.map(({ engine }, index) => dockerOf(engine, ["run", "busybox", "echo", `${word} ${index + 1}`])));
  const search = async (through: TestNode, query = "") => {
    const { text } = await through.request("GET", `/logs/search?q=${word.toUpperCase()}${query}`);
    const events = text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    return { found: events.slice(0, -1).map(({ node, line }) => [node, line]), result: events.at(-1) };
  };
  const all = ["n1", "n2", "n3"].map((name, index) => [name, `${word} ${index + 1}`]);
  const { found, result } = await search(n2);
  expect(found.sort()).toEqual(all);
  expect(result).toMatchObject({ event: "result", lines: 3, complete: true, missing: [], truncated: null, unreadable: [] });
  expect(result.nodes.sort()).toEqual(["n1", "n2", "n3"]);
  await dockerOf(n3.engine, ["run", "--name", word, "busybox", "true"]);
  expect((await search(n1, `&containers=${word},nope`)).result).toMatchObject({ complete: true, containers: 1, unknown: ["nope"] });
  expect((await search(n2, "&node=n3")).found).toEqual([all[2]]);
  expect((await search(n3, "&limit=2")).result).toMatchObject({ lines: 2, truncated: "limit", complete: false });
  await without(n1, async () => {
    const partial = await search(n3);
    expect(partial.found.sort()).toEqual(all.slice(1));
    expect(partial.result).toMatchObject({ lines: 2, complete: false, missing: [{ node: "n1", reason: expect.stringMatching(/./) }] });
  });
});

describe("images", () => {
  const tagsOn = async (node: TestNode, image: string) =>
    (await n1.request("GET", `/images?node=${node.name}`)).json.images.filter((each: { tags: string[] }) =>
      each.tags.includes(`${image}:latest`),
    );

  test("are pulled on, listed from and removed on every node", async () => {
    const image = await pushImage(n1.engine, registry, "busybox");
    const pulled = await n2.request("POST", "/images/pull", { json: { image } });
    expect([pulled.status, pulled.json]).toMatchObject([
      200,
      { image, status: "pulled", complete: true, missing: [], id: expect.any(String) },
    ]);
    const hosts = (nodes: { host: string; status: string }[]) => nodes.map(({ host, status }) => `${host} ${status}`).sort();
    expect(hosts(pulled.json.nodes)).toEqual(["n1 pulled", "n2 pulled", "n3 pulled"]);
    const { images } = (await n3.request("GET", "/images")).json;
    const having = images.filter(({ tags }: { tags: string[] }) => tags.includes(`${image}:latest`));
    expect(having.map(({ host }: { host: string }) => host).sort()).toEqual(["n1", "n2", "n3"]);

    expect((await n1.request("DELETE", `/images/${image}?node=n2`)).json).toMatchObject({ removed: true, host: "n2" });
    const removed = await n3.request("DELETE", `/images/${image}`);
    expect([removed.status, removed.json]).toMatchObject([200, { image, removed: true, complete: true }]);
    expect(removed.json.nodes).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ host: "n2", code: "IMAGE_NOT_FOUND" }),
        expect.objectContaining({ host: "n1", removed: true }),
      ]),
    );
    expect((await n3.request("DELETE", `/images/${image}`)).json).toMatchObject({ status: 404, code: "IMAGE_NOT_FOUND" });
    for (const node of cluster.nodes) expect(await tagsOn(node, image)).toEqual([]);
  });

  test("in use on one node are a 409 that names the node", async () => {
    const image = uniqueName("used");
    for (const { engine } of [n1, n2]) await importWeb(engine, image);
    await dockerOf(n2.engine, ["run", "-d", image]);
    const { json } = await n1.request("DELETE", `/images/${image}`);
    expect(json).toMatchObject({ status: 409, code: "IMAGE_IN_USE" });
    expect(json.details.nodes).toContainEqual(expect.objectContaining({ host: "n2", code: "IMAGE_IN_USE" }));
    expect(json.details.nodes).toContainEqual(expect.objectContaining({ host: "n1", removed: true }));
  });

  test.each(["application/x-ndjson", "text/event-stream"])("report the progress of every node's pull as %s", async (Accept) => {
    const image = await pushImage(n1.engine, registry, "busybox");
    const pull = (json: object) => n1.request("POST", "/images/pull", { json, headers: { Accept } });
    const answer = await pull({ image });
    expect(answer.headers.get("content-type")).toBe(`${Accept}; charset=utf-8`);
    const parse = (text: string) =>
      Accept === "application/x-ndjson"
        ? text
            .split("\n")
            .filter(Boolean)
            .map((line) => JSON.parse(line))
        : [...text.matchAll(/event: (.*)\ndata: (.*)\n\n/g)].map(([, event, data = ""]) => ({ event, ...JSON.parse(data) }));
    const events = parse(answer.text);
    const progress = events.filter(({ event }) => event === "progress");
    expect([...new Set(progress.map(({ host }) => host))].sort()).toEqual(["n1", "n2", "n3"]);
    expect(events.filter(({ event }) => event !== "progress")).toEqual([events.at(-1)]);
    expect(events.at(-1)).toMatchObject({ event: "result", image, status: "pulled", complete: true });
    expect(
      events
        .at(-1)
        .nodes.map(({ host }: { host: string }) => host)
        .sort(),
    ).toEqual(["n1", "n2", "n3"]);
    const failed = parse((await pull({ image: `${registry.host}/none` })).text);
    expect(failed.at(-1)).toMatchObject({ event: "error", status: 404, code: "IMAGE_NOT_FOUND" });
    await n1.request("DELETE", `/images/${image}`);
  });

  test("are pulled on the others if a node is missing, and the 503 names that node", async () => {
    const image = await pushImage(n1.engine, registry, "busybox");
    await without(n2, async () => {
      const { status, json } = await n1.request("POST", "/images/pull", { json: { image } });
      expect([status, json.code]).toEqual([503, "NODES_MISSING"]);
      expect(json.details.nodes).toContainEqual(expect.objectContaining({ host: "n3", status: "pulled" }));
      expect(json.details.nodes).toContainEqual(expect.objectContaining({ host: "n2", code: "NODES_MISSING" }));
      expect(await tagsOn(n3, image)).toHaveLength(1);
      expect((await n1.request("DELETE", `/images/${image}`)).json).toMatchObject({ removed: true, complete: false, missing: ["n2"] });
      expect((await n1.request("DELETE", `/images/${image}`)).json).toMatchObject({ status: 503, code: "NODES_MISSING" });
    });
  });
});

test("disconnecting from a followed log or stats of another node ends them there", async () => {
  const { json } = await service(n1, { command: "sh -c 'echo begun; sleep 1000'" }, "n2");
  const before = openEngineConnectionsOf(n2);
  for (const path of ["logs?follow=true", "stats?stream=true"]) {
    const client = new AbortController();
    const headers = { Authorization: `Bearer ${TOKEN}` };
    const response = await fetch(`${n1.server.url}/containers/${json.id}/${path}`, { headers, signal: client.signal });
    const { value } = await (response.body as ReadableStream<Uint8Array>).getReader().read();
    expect(Buffer.from(value ?? []).toString()).toMatch(/begun|cpu_percent/);
    client.abort();
  }
  expect(await until(() => openEngineConnectionsOf(n2) <= before, DEADLINE_MS)).toBe(true);
});
