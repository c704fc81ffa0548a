import { until } from "../../../scripts/process";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import { becomesComplete, locate, uniqueName } from "../../support/cluster-containers";
import { auditEntries, dockerOf } from "../../support/single-node";

const DEADLINE_MS = 30_000;
const QUICK = ["sh", "-c", "echo of the image; trap exit TERM; while :; do sleep 0.1; done"];

let cluster: TestCluster;
let [n1, n2, n3] = [] as unknown as [TestNode, TestNode, TestNode];
beforeAll(async () => {
  cluster = await startCluster({ size: 3, args: ["--peer_timeout=1500"] });
  [n1, n2, n3] = cluster.nodes as [TestNode, TestNode, TestNode];
});
afterAll(() => cluster?.stop());
afterEach(async () => {
  const { json } = await n1.request("GET", "/containers?limit=1000");
  for (const { name } of json.containers) await n1.request("DELETE", `/containers/${name}`);
  for (const { engine } of cluster.nodes)
    expect([await dockerOf(engine, ["ps", "-aq"]), await dockerOf(engine, ["volume", "ls", "-q"])]).toEqual(["", ""]);
});

const create = (through: TestNode, more: object = {}, node?: string) =>
  through.request("POST", node ? `/containers?node=${node}` : "/containers", { json: { image: "busybox", command: QUICK, ...more } });

test("a container is created, used, updated and removed with each request through another node", async () => {
  const made = await create(n1, { env: { A: "1" }, tags: ["web"], ports: [{ host: 18080, container: 80 }] }, "n2");
  expect([made.status, made.json]).toMatchObject([201, { status: "created", host: "n2", tags: ["web"] }]);
  const { cuid } = made.json;
  const at = `/containers/${cuid}`;
  expect((await n3.request("GET", `${at}/status`)).json).toMatchObject({ cuid, status: "created", host: "n2" });
  expect((await n1.request("POST", `${at}/start`)).json).toMatchObject({ cuid, status: "running" });
  expect((await n3.request("POST", `${at}/start`)).json).toMatchObject({ status: 422, error: "state_error" });
  // A refusal by the container's node is logged as an error by the entry node, too.
  const refused = { path: `${at}/start`, status: 422, error: "state_error", code: "WRONG_STATE" };
  const refusalEntry = () => auditEntries(n3.server).find(({ status }) => status === 422);
  await until(() => refusalEntry() !== undefined, DEADLINE_MS);
  expect(refusalEntry()).toMatchObject(refused);
  await n1.request("POST", `${at}/exec`, { json: { command: ["sh", "-c", "echo kept > /app/file"] } });
  expect((await n3.request("PATCH", at, { json: { env: { A: null, B: "2" } } })).json).toMatchObject({
    cuid,
    status: "running",
    host: "n2",
  });
  const { json } = await n1.request("POST", `${at}/exec`, { json: { command: ["sh", "-c", "cat /app/file; echo $A$B"] } });
  expect(json).toMatchObject({ stdout: "kept\n2\n", host: "n2" });
  const ports = [{ host: 13000, container: 3000, protocol: "udp" }];
  expect((await n1.request("PATCH", `${at}/ports`, { json: { ports } })).json).toMatchObject({ ports, host: "n2" });
  expect(await until(async () => (await n3.request("GET", `${at}/logs`)).text === "of the image\n", DEADLINE_MS)).toBe(true);
  for (const [action, state] of [
    ["pause", "paused"],
    ["unpause", "running"],
    ["restart?timeout=0", "running"],
    ["stop?timeout=0", "exited"],
  ])
    expect((await n3.request("POST", `${at}/${action}`)).json).toMatchObject({ cuid, status: state });
  expect((await n1.request("DELETE", at)).json).toMatchObject({ name: cuid, removed: true, host: "n2" });
  expect((await n2.request("GET", at)).json).toMatchObject({ status: 404, code: "CONTAINER_NOT_FOUND" });
});

test("containers go to several nodes, and the list of all is complete with each page from another node", async () => {
  const made = await Promise.all([1, 2, 3, 4, 5, 6, 7].map(() => create(n1, { tags: ["many"] })));
  // The scheduler may skip a busy node.
  expect(new Set(made.map(({ json }) => json.host)).size).toBeGreaterThan(1);
  await create(n2, { tags: ["other"] });
  const seen: string[] = [];
  let cursor: string | null = "";
  for (let page = 0; cursor !== null; page += 1) {
    const through = cluster.nodes[page % 3] as TestNode;
    const { json } = await through.request("GET", `/containers?limit=2&tags=many&status=created,running${cursor && `&cursor=${cursor}`}`);
    expect(json).toMatchObject({ complete: true, missing: [] });
    seen.push(...json.containers.map((each: { cuid: string }) => each.cuid));
    cursor = json.next_cursor;
  }
  expect(seen.sort()).toEqual(made.map(({ json }) => json.cuid).sort());
});

test("a host port taken on one node is assigned on another until no node has it free", async () => {
  const ports = [{ host: 18082, container: 80 }];
  const hosts = [];
  for (let count = 0; count < 3; count += 1) hosts.push((await create(n1, { ports })).json.host);
  expect(hosts.sort()).toEqual(["n1", "n2", "n3"]);
  expect((await create(n1, { ports })).json).toMatchObject({ status: 409, error: "conflict", code: "PORT_TAKEN" });
});

test("concurrent requests with one key through all nodes create one container", async () => {
  const headers = { "Idempotency-Key": uniqueName("key") };
  const json = { image: "busybox", command: QUICK };
  const made = await Promise.all([n1, n2, n3, n1].map((node) => node.request("POST", "/containers", { json, headers })));
  expect(made.map(({ status }) => status).sort()).toEqual([200, 200, 200, 201]);
  const cuids = new Set(made.map((each) => each.json.cuid));
  expect(cuids.size).toBe(1);
  expect(await locate(cluster, [...cuids][0] as string)).toHaveLength(1);
});

test("a container on a frozen node is a 503 until the node answers again", async () => {
  const { cuid } = (await create(n1, {}, "n2")).json;
  n2.server.process.signal("SIGSTOP");
  try {
    expect((await n1.request("GET", `/containers/${cuid}/status`)).json).toMatchObject({ status: 503, code: "NODES_MISSING" });
    expect((await n3.request("GET", "/containers")).json).toMatchObject({ complete: false, missing: ["n2"] });
  } finally {
    n2.server.process.signal("SIGCONT");
  }
  expect(await becomesComplete(cluster)).toBe(true);
  expect((await n3.request("GET", `/containers/${cuid}/status`)).json).toMatchObject({ cuid, host: "n2" });
});
