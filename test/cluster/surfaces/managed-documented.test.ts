import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { until } from "../../../scripts/process";
import { startCluster, type TestCluster } from "../../support/cluster";
import { runProgram, USER } from "../../support/example-programs";
import { startHaproxy } from "../../support/haproxy";
import { importPython } from "../../support/images";
import { auditEntries, dockerOf } from "../../support/single-node";

const DEADLINE_MS = 30_000;

let cluster: TestCluster;
let balancer: Awaited<ReturnType<typeof startHaproxy>>;
let folder: string;
beforeAll(async () => {
  const args = ["--user", USER.APP_USER, "--password", USER.APP_PASS];
  cluster = await startCluster({ size: 3, args });
  await Promise.all(cluster.nodes.map(({ engine }) => importPython(engine, "python:3.12-slim", ["/usr/bin/python3"])));
  balancer = await startHaproxy(cluster.nodes.map(({ server }) => server));
  folder = mkdtempSync(path.join(tmpdir(), "docker-server-documented-"));
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await balancer?.stop();
  await cluster?.stop();
});

/** The clients' requests for a container, from the audit logs: the node that received each, and the nodes it was forwarded to. */
function clientRequests(cuid: string): { step: string; through: string; to: string[] }[] {
  const nodes = cluster.nodes.map(({ engine }) => engine.address);
  const all = cluster.nodes.flatMap(({ name, server }) => auditEntries(server).map((entry) => ({ ...entry, name })));
  return all
    .filter(({ path, address }) => !nodes.includes(address) && (path === "/containers" || path.includes(cuid)))
    .map(({ method, path, status, name, request_id }) => ({
      step: `${method} ${path.replace(cuid, "CUID")} ${status}`,
      through: name,
      to: all.filter((other) => other.request_id === request_id && other.name !== name).map((other) => other.name),
    }));
}

const STEPS = [
  "POST /containers 201",
  "POST /containers/CUID/upload-zip 200",
  "POST /containers/CUID/start 200",
  "GET /ws/CUID 101",
  // The program has already exited.
  "POST /containers/CUID/stop 422",
  "DELETE /containers/CUID 200",
];

test("the Complete Integration Example works through a load balancer that sends each request to the next node", async () => {
  const printed = await runProgram({ url: balancer.url, folder }, ["orchestrator.py"]);
  const [, cuid = ""] = /^Created container: (c[0-9a-z]{24})\n/.exec(printed) ?? [];
  // Output that arrives together is one message.
  expect(printed.replaceAll("[OUT] ", "")).toBe(
    [
      `Created container: ${cuid}\nCode uploaded successfully\nContainer started\nConnected to container output:`,
      `Hello from container ${cuid}\nEnvironment: production`,
      "Iteration 1\nIteration 2\nIteration 3\nIteration 4\nIteration 5\nDone!\n\nContainer stopped\nContainer deleted",
    ].join("\n"),
  );
  expect(printed).toMatch(/\[OUT\] Hello.*\[OUT\] Iteration 5/s);
  for (const { engine } of cluster.nodes)
    expect([await dockerOf(engine, ["ps", "-aq"]), await dockerOf(engine, ["volume", "ls", "-q"])]).toEqual(["", ""]);

  // Each node receives two of the six requests: the four that the container's owner doesn't receive are forwarded.
  expect(await until(() => clientRequests(cuid).flatMap(({ to }) => to).length === 4, DEADLINE_MS)).toBe(true);
  const found = clientRequests(cuid);
  expect(found.map(({ step }) => step).sort()).toEqual([...STEPS].sort());
  const through = STEPS.map((wanted) => found.find(({ step }) => step === wanted)?.through);
  expect(through.slice(3)).toEqual(through.slice(0, 3));
  expect(new Set(through).size).toBe(3);
  const [owner = ""] = found.flatMap(({ to }) => to);
  for (const { through, to } of found) expect(to).toEqual(through === owner ? [] : [owner]);
});
