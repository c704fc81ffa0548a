import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { until } from "../../../scripts/process";
import { type Engine, leaseEngine } from "../../support/engine";
import { startServer, type TestServer } from "../../support/server";

let engines: Engine[];
let servers: TestServer[];
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "docker-server-same-name-"));
  engines = await Promise.all(["s1", "s2"].map((name) => leaseEngine({ name })));
  const args = ["--cluster", "--folder", folder, "--node_name=same", "--refresh_rate=300"];
  servers = await Promise.all(
    engines.map((engine) => startServer({ engine, host: engine.address, port: 1717, inside: engine.inside([]), args })),
  );
});

afterAll(async () => {
  await Promise.all(servers.map((server) => server.stop("SIGKILL")));
  await Promise.all(engines.map((engine) => engine.stop()));
  rmSync(folder, { recursive: true });
});

test.each([
  [0, 1],
  [1, 0],
])("node %i of two with one name tells where the other is, in GET /nodes, /healthz and its log", async (index, otherIndex) => {
  const [node, other] = [servers[index], servers[otherIndex]] as [TestServer, TestServer];
  const warning = `Another node at ${other.url} has this node's name, same`;
  const isTold = async () => (await node.request("GET", "/nodes")).json.warnings.some((each: string) => each.includes(warning));
  expect(await until(isTold, 20_000)).toBe(true);
  expect((await node.request("GET", "/healthz")).json.warnings).toEqual([expect.stringContaining(warning)]);
  expect(node.output()).toContain("Another node has this node's name");
});
