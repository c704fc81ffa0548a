import http from "node:http";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import { comesBackTo, everythingOn, runsUnderWay } from "../../support/runs";
import { TOKEN } from "../../support/server";
import { dockerOf } from "../../support/single-node";

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startCluster({ size: 2 });
});
afterAll(() => cluster?.stop());

const docker = ({ engine }: TestNode) => ({ engine, docker: (...args: string[]) => dockerOf(engine, args) });

/** Requests a run on the second node from the first; `first` resolves with the first chunk of the response. */
function begin(command: string[], accept: string): { request: http.ClientRequest; first: Promise<string> } {
  const [entry, other] = cluster.nodes as [TestNode, TestNode];
  const headers = { Authorization: `Bearer ${TOKEN}`, "Content-Type": "application/json", Accept: accept };
  const request = http.request(`${entry.server.url}/run?node=${other.name}`, { method: "POST", headers });
  const first = new Promise<string>((resolve) => {
    request.on("error", () => resolve("none"));
    request.on("response", (response) => {
      response.on("error", () => undefined);
      response.once("data", (chunk) => resolve(String(chunk)));
    });
  });
  request.end(JSON.stringify({ image: "busybox", pull_policy: "never", command }));
  return { request, first };
}

test.each(["application/x-ndjson", "application/json"])("a disconnected client ends its run on another node (%s)", async (accept) => {
  const other = docker(cluster.nodes[1] as TestNode);
  const before = await everythingOn(other);
  const { request, first } = begin(["sh", "-c", "echo first; sleep 1000"], accept);
  expect(await runsUnderWay(other, 1)).toBe(true);
  // Output is streamed through the entry node too.
  if (accept.endsWith("ndjson")) expect(await first).toBe('{"event":"stdout","data":"first\\n"}\n');
  request.destroy();
  expect(await comesBackTo(other, before)).toBe(true);
});
