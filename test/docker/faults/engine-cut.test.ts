import { until } from "../../../scripts/process";
import { type CutEngine, startCutEngine } from "../../support/cut-engine";
import { type Engine, leaseEngine } from "../../support/engine";
import { containersOf, engineApi, volumesOf } from "../../support/engine-api";
import { importBusybox } from "../../support/images";
import { startServer, type TestServer } from "../../support/server";

const DEADLINE_MS = 30_000;
/** For what a failed request leaves: it is tried again every half second. */
const SETTLED_MS = 1500;
const MOST_REQUESTS = 12;

let engine: Engine;
let cutEngine: CutEngine;
let server: TestServer;
beforeAll(async () => {
  engine = await leaseEngine({ name: "engine-cut" });
  await importBusybox(engine);
  cutEngine = await startCutEngine(engine);
  server = await startServer({ engine: { ...engine, dockerHost: cutEngine.dockerHost } });
});
afterAll(async () => {
  await server?.stop();
  await cutEngine?.stop();
  await engine?.stop();
});

afterEach(() => empty());

async function empty(): Promise<void> {
  for (const name of await names()) await engineApi(engine, "DELETE", `/containers/${name}?force=1&v=1`);
  for (const name of await volumesOf(engine)) await engineApi(engine, "DELETE", `/volumes/${name}`);
}

const names = async () => (await containersOf(engine)).map(({ name }) => name);
const isReady = async () => (await server.request("GET", "/")).status === 200;

const image = "busybox";
const command = ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"];

test.each<[string, string, string, object]>([
  ["a managed container's creation", "POST", "/containers", { image, command }],
  ["a detached run", "PUT", "/", { image, command, detach: true }],
  ["a run that serves a port", "POST", "/containers/run", { image, command, container_port: 80 }],
  ["a run that is waited for", "PUT", "/", { image, command: ["sleep", "2"] }],
])(
  "%s whose engine breaks off at any of its requests has made a container if it says so, and otherwise leaves none",
  async (_name, method, path, json) => {
    const outcomes = new Set<string>();
    let requests = -1;
    do {
      requests += 1;
      cutEngine.cutAfterCreate(requests);
      const answer = await server.request(method, path, { json });
      const wasCut = cutEngine.mend();
      expect(await until(isReady, DEADLINE_MS)).toBe(true);
      const made = answer.status < 300 || answer.json.details?.begun === true;
      if (answer.status >= 300) expect([requests, answer.text]).toEqual([requests, expect.stringContaining('"ENGINE_UNREACHABLE"')]);
      // What is to stay is there as long as what is to go may take.
      if (made) await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
      const isRight = async () =>
        (await names()).length === (made ? 1 : 0) && (path !== "/containers" || (await volumesOf(engine)).length === (made ? 1 : 0));
      if (!(await until(isRight, DEADLINE_MS)))
        throw new Error(`cut at request ${requests}: ${answer.status} ${answer.text}, and there is ${await names()}`);
      outcomes.add(made ? "made" : "not made");
      await empty();
      if (!wasCut && made) break;
      // A busy machine answered a ping too late, before the request that was to break off.
      if (!wasCut) requests -= 1;
    } while (requests < MOST_REQUESTS);
    expect([...outcomes].sort()).toEqual(["made", "not made"]);
  },
);
