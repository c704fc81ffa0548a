import http from "node:http";
import { until } from "../../../scripts/process";
import { engineKind, isPodman, leaseEngine, unlessPodman } from "../../support/engine";
import { pushImage, startRegistry } from "../../support/registry";
import { type OneNode, startNode } from "../../support/single-node";

/** What differs between engines, and what this server makes of it (docs/engines.md, "What engines do differently"). */
let node: OneNode;
beforeAll(async () => {
  node = await startNode({ name: "differences" });
});
afterAll(() => node?.stop());

/** What an engine's events tell of a container since a time in seconds, in their order. */
async function actionsSince(time: number, container: string): Promise<string[]> {
  // Podman's events lack those of the last two seconds.
  const end = Math.ceil(Date.now() / 1000) + (isPodman ? 2 : 0);
  const filters = ["--filter=type=container", `--filter=container=${container}`];
  const told = await node.docker("events", `--since=${time}`, `--until=${end}`, ...filters, "--format={{.Action}}");
  return told.split("\n");
}

const now = () => Math.floor(Date.now() / 1000);

test("an exec says Running before its ExitCode counts, which is 0 on Podman while it runs", async () => {
  await node.docker("run", "--detach", "--name=busy", "busybox", "sleep", "1000");
  const { json: exec } = await node.request("POST", "/v1.41/containers/busy/exec", { json: { Cmd: ["sh", "-c", "sleep 1; exit 3"] } });
  const state = async () => {
    const { Running, ExitCode } = (await node.request("GET", `/v1.41/exec/${exec.Id}/json`)).json;
    return { Running, ExitCode };
  };
  const unknown = isPodman ? 0 : null;
  expect(await state()).toEqual({ Running: false, ExitCode: unknown });
  await node.request("POST", `/v1.41/exec/${exec.Id}/start`, { json: { Detach: true } });
  expect(await state()).toEqual({ Running: true, ExitCode: unknown });
  expect(await until(async () => !(await state()).Running, 20_000)).toBe(true);
  expect(await state()).toEqual({ Running: false, ExitCode: 3 });
  // The server's own exec waits for the end, whatever ExitCode says before.
  expect((await node.request("POST", "/busy", { json: { data: ["sh", "-c", "sleep 1; exit 4"] } })).json).toMatchObject({ exit_code: 4 });
});

test("logs have frames unless the container has a terminal, whatever Content-Type the engine sends", async () => {
  await node.docker("run", "--name=framed", "busybox", "echo", "hello");
  await node.docker("run", "--tty", "--name=plain", "busybox", "echo", "hello");
  const contentType = (name: string) =>
    new Promise((resolve, reject) => {
      const request = http.get({ socketPath: node.engine.socket, path: `/containers/${name}/logs?stdout=1`, agent: false }, (response) => {
        resolve(response.headers["content-type"]);
        response.destroy();
      });
      request.on("error", reject);
    });
  const sent =
    engineKind() === "20.10" || isPodman
      ? [undefined, undefined]
      : ["multiplexed", "raw"].map((kind) => `application/vnd.docker.${kind}-stream`);
  expect([await contentType("framed"), await contentType("plain")]).toEqual(sent);
  expect((await node.request("GET", "/framed")).json).toMatchObject({ stdout: "hello\n", stderr: "" });
  expect((await node.request("GET", "/plain")).json).toMatchObject({ stdout: "hello\r\n", stderr: "" });
});
test("a stop is told by die and stop in an order of the engine's own, and the list shows the end after it", async () => {
  const begun = now();
  await node.docker("run", "--detach", "--name=ending", "busybox", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done");
  await node.docker("stop", "ending");
  const listed = (await node.request("GET", "/")).json.find(({ name }: { name: string }) => name === "ending");
  expect(listed).toMatchObject({ state: "exited" });
  const order = (await actionsSince(begun, "ending")).filter((action) => ["die", "stop"].includes(action));
  if (isPodman) return expect(order).toContain("die");
  expect(order).toEqual(engineKind() === "20.10" ? ["die", "stop"] : ["stop", "die"]);
});

test("one kill for lack of memory gives one or more oom events, none on Podman, and the status says it once", async () => {
  const begun = now();
  const status = async () => (await node.request("GET", "/containers/hungry")).json;
  const isToldByEngine = async () => {
    await node.docker("run", "--detach", "--memory=16m", "--name=hungry", "busybox", "sh", "-c", "sleep 1; tail /dev/zero");
    expect(await until(async () => (await status()).status === "exited", 30_000)).toBe(true);
    if ((await node.inspect("hungry")).State.OOMKilled) return true;
    await node.docker("rm", "hungry");
    return false;
  };
  // On a busy machine an engine can hear of the exit before it hears of the lack of memory, and then never tells it.
  expect(await until(isToldByEngine, 60_000)).toBe(true);
  expect(await status()).toMatchObject({ exit_code: 137, oom_killed: true, restart_count: 0 });
  const told = (await actionsSince(begun, "hungry")).filter((action) => action === "oom");
  if (isPodman) expect(told).toEqual([]);
  else expect(told.length).toBeGreaterThan(0);
});

unlessPodman("it asks the bed's registries over HTTPS")(
  "an image of an older engine whose layers are there already is pulled by every route, and runs",
  async () => {
    const older = await leaseEngine({ name: "older", kind: "20.10" });
    const registry = await startRegistry();
    try {
      // The containerd image store leaves out its configuration then.
      const image = await pushImage(older, registry, "busybox");
      expect((await node.request("POST", "/images/pull", { json: { image } })).json).toMatchObject({
        status: "pulled",
        image,
      });
      for (const pull of ["always", "missing", "never"]) {
        const { json } = await node.request("PUT", "/", { json: { image, pull, remove: true, command: ["echo", "it runs"] } });
        expect([pull, json]).toMatchObject([pull, { exit_code: 0, stdout: "it runs\n" }]);
      }
    } finally {
      await registry.stop();
      await older.stop();
    }
  },
);
