import { until } from "../../../scripts/process";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import { becomesComplete, listHeader, locate, sleeper, startContainer, uniqueName } from "../../support/cluster-containers";
import { pushImage, type Registry, startRegistry } from "../../support/registry";
import { TOKEN } from "../../support/server";

let cluster: TestCluster;
let registry: Registry;
let [n1, n2, n3] = [] as unknown as [TestNode, TestNode, TestNode];
beforeAll(async () => {
  [cluster, registry] = await Promise.all([startCluster({ size: 3 }), startRegistry()]);
  [n1, n2, n3] = cluster.nodes as [TestNode, TestNode, TestNode];
});
afterAll(async () => {
  await cluster.stop();
  await registry.stop();
});

const run = (through: TestNode, more: object, query = "") => through.request("PUT", `/${query}`, { json: sleeper(more) });

test("GET /nodes through any node lists all nodes", async () => {
  for (const node of cluster.nodes) {
    const { json } = await node.request("GET", "/nodes");
    expect(json).toMatchObject({ complete: true, missing: [] });
    expect(json.nodes.map(({ name }: { name: string }) => name).sort()).toEqual(["n1", "n2", "n3"]);
    for (const each of json.nodes)
      expect(each).toMatchObject({ reachable: true, engine: "ok", version: "2.0.0", load: expect.any(Number) });
  }
});

test("a run through each node replies with one object and its host, and any node lists all runs", async () => {
  const made = await Promise.all(cluster.nodes.map((node) => startContainer(node)));
  for (const node of cluster.nodes) {
    const answer = await node.request("GET", "/");
    expect(listHeader(answer, "x-cluster-nodes")).toEqual(["n1", "n2", "n3"]);
    expect(answer.headers.has("x-cluster-missing")).toBe(false);
    for (const { id, host } of made) expect(answer.json).toContainEqual(expect.objectContaining({ id, host, state: "running" }));
  }
});

test("a change through one node is visible through every other once it is answered, even while they are read", async () => {
  let stopped = false;
  const readers = cluster.nodes.flatMap((node) =>
    Array.from({ length: 2 }, async () => {
      while (!stopped) await node.request("GET", "/");
    }),
  );
  const seenBy = async (id: string) => {
    const lists = await Promise.all(cluster.nodes.map((node) => node.request("GET", "/")));
    return lists.map(({ json }) => (json as { id: string }[]).some((each) => each.id === id));
  };
  for (let round = 0; round < 15; round += 1) {
    const { id } = await startContainer(round % 2 ? n1 : n3, {}, "n2");
    expect(await seenBy(id)).toEqual([true, true, true]);
    expect((await (round % 3 ? n3 : n2).request("DELETE", `/${id}`)).status).toBe(200);
    expect(await seenBy(id)).toEqual([false, false, false]);
  }
  stopped = true;
  await Promise.all(readers);
});

test("logs, commands and removal work through any node, as a list with the host", async () => {
  const { id, name } = await startContainer(n1, { data: ["sh", "-c", "echo out; echo err >&2; sleep 100000"] }, "n2");
  const stdin = "x".repeat(1_000_000);
  for (const node of cluster.nodes) {
    expect((await node.request("GET", `/${name}`)).json).toEqual([{ id, name, stdout: "out\n", stderr: "err\n", host: "n2" }]);
    const text = await node.request("GET", `/${id.slice(0, 12)}`, { headers: { Accept: "text/plain" } });
    expect(text.text.split("\n").sort()).toEqual(["", "err", "out"]);
    const exec = await node.request("POST", `/${name}`, { json: { data: ["sh", "-c", "wc -c; exit 7"], interactive: true, stdin } });
    expect(exec.json).toEqual([expect.objectContaining({ id, exit_code: 7, stdout: "1000000\n", host: "n2" })]);
  }
  expect((await n3.request("DELETE", `/${name}`)).json).toEqual([{ id, name, removed: true, host: "n2" }]);
  for (const node of cluster.nodes) expect((await node.request("GET", `/${name}`)).json).toMatchObject({ code: "CONTAINER_NOT_FOUND" });
  expect((await n1.request("DELETE", `/${name}`)).status).toBe(404);
});

test("followed logs stream through another node and end with the container", async () => {
  const { name } = await startContainer(n1, { data: ["sh", "-c", "echo one; sleep 1; echo two"] }, "n2");
  const { text } = await n3.request("GET", `/${name}?follow=true`);
  expect(text).toBe("one\ntwo\n");
});

test("a client that disconnects from followed logs ends them on the node that streams them", async () => {
  const { name } = await startContainer(n1, { data: ["sh", "-c", "echo one; sleep 100000"] }, "n2");
  const leaving = new AbortController();
  const response = await fetch(`${n3.server.url}/${name}?follow=true`, {
    headers: { Authorization: `Bearer ${TOKEN}` },
    signal: leaving.signal,
  });
  expect(response.status).toBe(200);
  await response.body?.getReader().read();
  leaving.abort();
  // The streaming node can stop at once; it would wait for a request in progress.
  await n2.server.stop("SIGTERM");
  // It has left: it is no member any more, and so not missing.
  const rest = await n1.request("GET", "/");
  expect([listHeader(rest, "x-cluster-nodes"), listHeader(rest, "x-cluster-missing")]).toEqual([["n1", "n3"], []]);
  await cluster.restart(n2);
  expect(await becomesComplete(cluster)).toBe(true);
});

test("a name that another node has is refused", async () => {
  const { name } = await startContainer(n1, {}, "n2");
  for (const query of ["", "?node=n1", "?node=n3"]) expect((await run(n3, { name }, query)).json).toMatchObject({ code: "NAME_TAKEN" });
  expect(await locate(cluster, name)).toEqual(["n2:running"]);
});

test("a container that was looked up before and is moved, or gets a namesake past the server, is found where it is", async () => {
  const name = uniqueName("moved");
  const at = async (query = "") => (await n1.request("GET", `/containers/${name}${query}`)).json;
  const create = (node: TestNode) => node.engine.docker(["create", "--name", name, "busybox"]);
  await create(n2);
  for (let round = 0; round < 3; round += 1) expect(await at()).toMatchObject({ host: "n2" });
  await create(n3);
  // The namesake is told as soon as its engine reports it.
  expect(await until(async () => (await at()).code === "AMBIGUOUS_ID", 10_000)).toBe(true);
  await n2.engine.docker(["rm", name]);
  expect(await until(async () => (await at()).host === "n3", 10_000)).toBe(true);
  const other = await startContainer(n1, {}, "n2");
  expect((await n1.request("GET", `/containers/${other.name}`)).json).toMatchObject({ host: "n2" });
  await n2.engine.docker(["rename", other.name, `${other.name}-2`]);
  expect(await until(async () => (await n1.request("GET", `/containers/${other.name}`)).status === 404, 10_000)).toBe(true);
  expect((await n1.request("GET", `/containers/${other.name}-2`)).json).toMatchObject({ host: "n2" });
});

test("a pull runs on every node, and each outcome is reported", async () => {
  const image = await pushImage(n1.engine, registry, "busybox");
  const good = await n2.request("HEAD", `/${image}`);
  expect(good.status).toBe(200);
  expect(listHeader(good, "x-cluster-outcomes")).toEqual(["n1=200", "n2=200", "n3=200"]);
  for (const { engine } of cluster.nodes) expect((await engine.docker(["image", "inspect", image])).code).toBe(0);
  const bad = await n1.request("HEAD", `/${registry.host}/no-such-image`);
  expect(bad.status).toBe(404);
  expect(listHeader(bad, "x-cluster-outcomes")).toEqual(["n1=404", "n2=404", "n3=404"]);
});

test("?node= chooses the node of a run; an unknown one is a 404 with the known nodes", async () => {
  for (const node of ["n1", "n2", "n3"]) expect((await startContainer(n1, {}, node)).host).toBe(node);
  const { status, json } = await run(n2, {}, "?node=n9");
  expect({ status, nodes: json.details.nodes.sort() }).toEqual({ status: 404, nodes: ["n1", "n2", "n3"] });
});

test("?explain=true returns all bids and why the node was chosen", async () => {
  const { json } = await run(n1, {}, "?explain=true");
  expect(json.placement).toMatchObject({ chosen: json.host, why: expect.any(String) });
  expect(json.placement.order[0].node).toBe(json.host);
  expect(json.placement.bids.map(({ node }: { node: string }) => node).sort()).toEqual(["n1", "n2", "n3"]);
  for (const node of ["n1", "n2"]) {
    const named = await run(n1, {}, `?explain=true&node=${node}`);
    expect(named.json.placement).toEqual({ chosen: node, why: "the request names it", order: [], bids: [] });
  }
});

test("a repeated Idempotency-Key replies with the same container through any node, pinned or not", async () => {
  const options = { headers: { "Idempotency-Key": uniqueName("key") } };
  const first = await startContainer(n1, {}, undefined, options);
  for (const node of cluster.nodes) {
    expect(await startContainer(node, {}, undefined, options)).toMatchObject({ id: first.id, host: first.host, repeated: true });
    expect(await startContainer(node, {}, first.host, options)).toMatchObject({ id: first.id, repeated: true });
  }
});

test("a run goes where its image is", async () => {
  const image = uniqueName("only");
  await n3.engine.docker(["tag", "busybox", image]);
  for (const node of cluster.nodes) expect((await startContainer(node, { image, pull: "never" })).host).toBe("n3");
});

test("a run goes where its volume is", async () => {
  const volume = uniqueName("volume");
  await n2.engine.docker(["volume", "create", volume]);
  for (const node of cluster.nodes) expect((await startContainer(node, { volumes: { [volume]: "/data" } })).host).toBe("n2");
});

test("a taken host port sends a run elsewhere; taken everywhere it is a 409 with reasons, or 400 of /containers/run", async () => {
  const ports = { "18088": "80" };
  const hosts = [await startContainer(n1, { ports }), await startContainer(n1, { ports }), await startContainer(n1, { ports })].map(
    ({ host }) => host,
  );
  expect(hosts.sort()).toEqual(["n1", "n2", "n3"]);
  const service = { image: "busybox", container_port: 80, host_port: 18088 };
  const managed = { image: "busybox", ports: [{ host: 18088, container: 80 }] };
  const answers = [
    [409, await run(n2, { ports })],
    [400, await n2.request("POST", "/containers/run", { json: service })],
    [409, await n2.request("POST", "/containers", { json: managed })],
  ] as const;
  for (const [expected, { status, json }] of answers) {
    expect({ status, code: json.code }).toEqual({ status: expected, code: "PORT_TAKEN" });
    expect(json.details.nodes.map(({ reason }: { reason: string }) => reason)).toEqual(Array(3).fill("port 18088/tcp is taken"));
  }
});

test("an absent image that may not be pulled is a 404, as on a single node", async () => {
  for (const { status, json } of [
    await run(n1, { image: "nowhere:1", pull: "never" }),
    await n1.request("POST", "/run", { json: { image: "nowhere:1", pull_policy: "never" } }),
  ])
    expect({ status, code: json.code }).toEqual({ status: 404, code: "IMAGE_NOT_FOUND" });
});

test("a repeated Idempotency-Key replies with its container even if no node could take a second one", async () => {
  const ports = { "18089": "80" };
  for (const node of [n1, n2]) await startContainer(node, { ports }, node.name);
  const options = { json: sleeper({ ports }), headers: { "Idempotency-Key": uniqueName("key") } };
  const { json: made } = await n1.request("PUT", "/", options);
  expect(made.host).toBe("n3");
  for (const node of cluster.nodes) expect((await node.request("PUT", "/", options)).json).toMatchObject({ id: made.id, repeated: true });
});

test("memory that no node has is a 503 with the reasons", async () => {
  const { status, json } = await run(n1, { memory: "900g" });
  expect({ status, code: json.code }).toEqual({ status: 503, code: "NO_NODE" });
  expect(json.details.nodes).toHaveLength(3);
});

test("a forged peer header grants nothing", async () => {
  const headers = { "x-docker-server-peer": "eyJmcm9tIjoibjIifQ.c2lnbmF0dXJl" };
  expect((await n1.request("GET", "/_node/ping", { headers })).status).toBe(404);
  expect((await n1.request("PUT", "/", { json: sleeper(), headers, anonymous: true })).status).toBe(401);
  // The header of a client is ignored: its request is routed like any other.
  expect((await n1.request("GET", "/", { headers })).headers.get("x-cluster-nodes")?.split(", ")).toHaveLength(3);
});

test("bodies of 5 MB pass through another node", async () => {
  const { name } = await startContainer(n1, {}, "n2");
  const json = { data: ["wc", "-c"], interactive: true, stdin: "y".repeat(5_000_000) };
  expect((await n3.request("POST", `/${name}`, { json })).json).toMatchObject([{ stdout: "5000000\n" }]);
});

test("a node told through another to take no new work serves what it has, until it is told otherwise", async () => {
  const tell = (through: TestNode, accepting: boolean) => through.request("PATCH", "/nodes/n2", { json: { accepting } });
  const { id } = await startContainer(n1, {}, "n2");
  expect(await tell(n1, false)).toMatchObject({ status: 200, json: { name: "n2", accepting: false } });
  try {
    const { json } = await n3.request("GET", "/nodes");
    const accepting = json.nodes.map((node: { name: string; accepting: boolean }) => [node.name, node.accepting]);
    expect(Object.fromEntries(accepting)).toEqual({ n1: true, n2: false, n3: true });
    const runs = Array.from({ length: 6 }, (_, index) => startContainer(cluster.nodes[index % 3] as TestNode));
    expect((await Promise.all(runs)).map(({ host }) => host)).not.toContain("n2");
    expect(await run(n3, {}, "?node=n2")).toMatchObject({ status: 503, json: { code: "NOT_ACCEPTING" } });
    expect(await run(n2, {}, "?node=n2")).toMatchObject({ status: 503, json: { code: "NOT_ACCEPTING" } });
    for (const action of ["pause", "unpause"]) expect((await n3.request("POST", `/containers/${id}/${action}`)).status).toBe(200);
    expect((await n1.request("POST", `/${id}`, { json: { data: "echo served" } })).json[0].stdout).toContain("served");
    expect((await n1.request("DELETE", `/${id}`)).status).toBe(200);
  } finally {
    expect(await tell(n2, true)).toMatchObject({ status: 200, json: { name: "n2", accepting: true } });
  }
  expect((await startContainer(n3, {}, "n2")).host).toBe("n2");
  expect((await n1.request("PATCH", "/nodes/n9", { json: { accepting: false } })).json).toMatchObject({ code: "NODE_NOT_FOUND" });
  expect((await n1.request("PATCH", "/nodes/n2", { json: {} })).json).toMatchObject({ code: "MISSING_ACCEPTING" });
});

test("unused images are removed from all nodes through any of them", async () => {
  const image = uniqueName("unused");
  for (const { engine } of cluster.nodes) await engine.docker(["create", "--name", image, "busybox"]);
  for (const { engine } of [n2, n3]) await engine.docker(["commit", image, image]);
  const { json } = await n1.request("POST", "/images/prune");
  expect(json).toMatchObject({ complete: true, missing: [] });
  const hosts = json.images.flatMap((each: { names: string[]; host: string }) => (each.names.includes(`${image}:latest`) ? each.host : []));
  expect(hosts.sort()).toEqual(["n2", "n3"]);
  for (const { engine } of cluster.nodes) {
    expect((await engine.docker(["image", "inspect", image])).code).toBe(1);
    await engine.docker(["rm", image]);
  }
});

test("a node started with --accept=false takes no new work until it is told to, and none again after its restart", async () => {
  const restart = async (...args: string[]) => {
    await n3.server.stop();
    await cluster.restart(n3, args);
    expect(await becomesComplete(cluster)).toBe(true);
  };
  const pinned = () => run(n1, {}, "?node=n3");
  try {
    await restart("--accept=false");
    expect(await pinned()).toMatchObject({ status: 503, json: { code: "NOT_ACCEPTING" } });
    expect((await n1.request("PATCH", "/nodes/n3", { json: { accepting: true } })).status).toBe(200);
    expect((await pinned()).status).toBe(200);
    await restart("--accept=false");
    expect(await pinned()).toMatchObject({ status: 503, json: { code: "NOT_ACCEPTING" } });
  } finally {
    await restart();
  }
  expect((await pinned()).status).toBe(200);
});
