import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { until } from "../../../scripts/process";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import { becomesComplete, removeAllContainers, startContainer, uniqueName } from "../../support/cluster-containers";
import { followLogs, openEngineConnectionsOf } from "../../support/log-stream";
import { TOKEN } from "../../support/server";
import { dockerOf, residentMemory } from "../../support/single-node";

const DEADLINE = 20_000;

let cluster: TestCluster;
let [n1, n2] = [] as unknown as [TestNode, TestNode];
beforeAll(async () => {
  cluster = await startCluster({ size: 2, ownEngines: true, args: ["--body_limit=20", "--output_limit=100", "--peer_timeout=1500"] });
  [n1, n2] = cluster.nodes as [TestNode, TestNode];
});
afterAll(() => cluster.stop());
afterEach(() => removeAllContainers(cluster), 60_000);

/** Starts a container on n2; returns its name. */
const start = async (script: string) => (await startContainer(n1, { name: uniqueName("streams"), data: ["sh", "-c", script] }, "n2")).name;
const tell = (name: string, script: string) => dockerOf(n2.engine, ["exec", name, "sh", "-c", script]);
/** A container that prints what is appended to /say, and exits once /end exists. */
const talker = () => start("touch /say; tail -f /say & until [ -e /end ]; do sleep 0.1; done; echo the end");

describe("a log that is followed through another node", () => {
  test("arrives line by line and ends with the container", async () => {
    const name = await talker();
    const log = await followLogs(n1, name);
    expect(log).toMatchObject({ status: 200, headers: { "content-type": "text/plain; charset=utf-8", "x-cluster-nodes": "n2" } });
    for (const word of ["one", "two", "three"]) {
      await tell(name, `echo ${word} >> /say`);
      expect(await until(() => log.text().endsWith(`${word}\n`), DEADLINE)).toBe(true);
    }
    expect(log.state()).toBe("open");
    await tell(name, "touch /end");
    expect(await until(() => log.state() === "ended", DEADLINE)).toBe(true);
    expect(log.text()).toBe("one\ntwo\nthree\nthe end\n");
  });

  test("ends when the container is removed", async () => {
    const name = await talker();
    const log = await followLogs(n1, name);
    expect((await n1.request("DELETE", `/${name}`)).status).toBe(200);
    expect(await until(() => log.state() === "ended", DEADLINE)).toBe(true);
  });

  test("leaves nothing open at the engine after its client disconnects, even while silent", async () => {
    const name = await talker();
    // The server always keeps some open: the engine's events and idle connections.
    expect(await until(() => openEngineConnectionsOf(n2) > 0, DEADLINE)).toBe(true);
    const before = openEngineConnectionsOf(n2);
    const logs = await Promise.all(Array.from({ length: 20 }, () => followLogs(n1, name)));
    expect(openEngineConnectionsOf(n2)).toBeGreaterThanOrEqual(20);
    for (const log of logs) log.abort();
    expect(await until(() => openEngineConnectionsOf(n2) <= before + 5, DEADLINE)).toBe(true);
  });

  test.each([
    ["a server that freezes", () => n2.server.process.signal("SIGSTOP"), () => n2.server.process.signal("SIGCONT")],
    ["a host whose link is down", () => n2.engine.linkDown(), () => n2.engine.linkUp()],
  ])("is cut when it comes from %s: the client neither waits nor sees a regular end", async (_name, fault, mend) => {
    const name = await talker();
    const log = await followLogs(n1, name);
    await tell(name, "echo before >> /say");
    expect(await until(() => log.text() === "before\n", DEADLINE)).toBe(true);
    fault();
    try {
      expect(await until(() => log.state() !== "open", DEADLINE)).toBe(true);
      expect(log.state()).toBe("cut");
    } finally {
      mend();
    }
    expect(await becomesComplete(cluster)).toBe(true);
    const again = await followLogs(n1, name);
    expect(await until(() => again.text() === "before\n", DEADLINE)).toBe(true);
    again.abort();
  });

  test("is cut when the streaming server is killed", async () => {
    const log = await followLogs(n1, await talker());
    await n2.server.stop("SIGKILL");
    try {
      expect(await until(() => log.state() === "cut", DEADLINE)).toBe(true);
    } finally {
      await cluster.restart(n2);
    }
    expect(await becomesComplete(cluster)).toBe(true);
  });

  test("continues while its node lives, however long it is silent", async () => {
    const name = await talker();
    const log = await followLogs(n1, name);
    // Many times the peer timeout.
    await new Promise((resolve) => setTimeout(resolve, 5000));
    await tell(name, "echo still here >> /say");
    expect(await until(() => log.text() === "still here\n", DEADLINE)).toBe(true);
    log.abort();
  });
});

test("a body of 8 MB goes through another node and comes back", async () => {
  const name = await start("sleep 100000");
  const stdin = "0123456789abcdef".repeat(500_000);
  const { status, json } = await n1.request("POST", `/${name}`, { json: { data: "cat", interactive: true, stdin } });
  expect(status).toBe(200);
  expect(json[0].exit_code).toBe(0);
  expect(json[0].stdout === stdin).toBe(true);
});

test.each([
  ["gzip", gzipSync],
  ["deflate", deflateSync],
  ["br", brotliCompressSync],
])("a body compressed with %s goes through another node", async (encoding, compress) => {
  const name = uniqueName("compressed");
  const send = (method: string, path: string, json: object) =>
    fetch(n1.server.url + path, {
      method,
      headers: { Authorization: `Bearer ${TOKEN}`, "Content-Type": "application/json", "Content-Encoding": encoding },
      body: compress(JSON.stringify(json)),
    });
  const put = await send("PUT", "/?node=n2", { image: "busybox", name, detach: true, data: "sleep 100000" });
  expect(await put.json()).toMatchObject({ name, host: "n2" });
  const executed = await send("POST", `/${name}`, { data: "echo hello" });
  expect(await executed.json()).toMatchObject([{ stdout: "hello\n", host: "n2" }]);
});

test("a log of 50 MB arrives complete through another node as plain text, and neither node buffers it", async () => {
  const lines = 500_000;
  const name = await start(`i=0; seq 1 ${lines} | awk '{ printf "%099d\\n", $1 }'`);
  expect(await until(async () => (await dockerOf(n2.engine, ["inspect", "-f", "{{.State.Status}}", name])) === "exited", 60_000)).toBe(
    true,
  );
  const memory = () => [n1, n2].map(({ server }) => residentMemory(server.process.pid));
  const before = memory();
  const most = [...before];
  const log = await followLogs(n1, name, {
    query: "",
    each: () => {
      memory().forEach((now, index) => {
        most[index] = Math.max(most[index] ?? 0, now);
      });
    },
  });
  expect(await until(() => log.state() !== "open", 60_000)).toBe(true);
  expect(log.state()).toBe("ended");
  const found = log.text();
  expect(found.length).toBe(lines * 100);
  expect(found.slice(0, 100)).toBe(`${"1".padStart(99, "0")}\n`);
  expect(found.slice(-100)).toBe(`${String(lines).padStart(99, "0")}\n`);
  most.forEach((peak, index) => {
    expect(peak - (before[index] ?? 0)).toBeLessThan(120);
  });
});
