import { setImmediate as turn } from "node:timers/promises";
import type { ContainerInfo } from "dockerode";
import fc from "fast-check";
import { ContainerList } from "../../../../lib/docker/containers/container-list";
import type { Engine } from "../../../../lib/docker/engine";
import { AppError } from "../../../../lib/errors";
import { until } from "../../../../scripts/process";
import { EngineServers } from "../../../support/unit/engine-servers";
import { quietLog } from "../../../support/unit/quiet-log";
import { ID, info, SlowEngine } from "../../../support/unit/slow-engine";

const open: ContainerList[] = [];
afterEach(() => {
  for (const list of open.splice(0)) list.close();
});

async function listOf(engine: SlowEngine, watched = true): Promise<ContainerList> {
  const list = new ContainerList(engine as unknown as Engine, "node-1", quietLog().log);
  open.push(list);
  if (watched) {
    void list.watch();
    await turn();
  }
  return list;
}

const names = async (list: ContainerList) => (await list.read()).containers.map((container) => container.name);

test("reads return the cached bytes while nothing changes", async () => {
  const engine = new SlowEngine(true);
  engine.containers = [info({})];
  const list = await listOf(engine);
  const first = await list.read();
  expect(JSON.parse(first.json.toString())).toEqual(first.containers);
  expect((await list.read()).json).toBe(first.json);
  expect(engine.questions).toBe(1);
});

test("a container that has ended shows no ports, which Podman goes on listing", async () => {
  const engine = new SlowEngine(true);
  const Ports = [{ IP: "0.0.0.0", PrivatePort: 80, PublicPort: 8080, Type: "tcp" }];
  engine.containers = ["running", "paused", "exited", "stopped", "created"].map((State) => info({ State, Ports }));
  const { containers } = await (await listOf(engine)).read();
  expect(containers.map(({ ports }) => ports.length)).toEqual([1, 1, 0, 0, 0]);
});

test("states that only Podman has are shown as Docker's", async () => {
  const engine = new SlowEngine(true);
  engine.containers = ["stopping", "stopped", "exited"].map((State) => info({ State }));
  const { containers } = await (await listOf(engine)).read();
  expect(containers.map(({ state }) => state)).toEqual(["running", "exited", "exited"]);
});

test("concurrent reads share one request", async () => {
  const engine = new SlowEngine(false);
  const list = await listOf(engine);
  const reads = [list.read(), list.read(), list.read()];
  await turn();
  for (const answer of engine.asked) answer();
  await Promise.all(reads);
  expect(engine.questions).toBe(1);
});

test("an event invalidates the cache", async () => {
  const engine = new SlowEngine(true);
  const list = await listOf(engine);
  expect(await names(list)).toEqual([]);
  engine.containers = [info({ Names: ["/new"] })];
  engine.event();
  await turn();
  expect(await names(list)).toEqual(["new"]);
});

test("each name that a container gets is told, and when events can't be followed any more, that any may be given", async () => {
  const engine = new SlowEngine(true);
  const list = await listOf(engine, false);
  const told: (string | undefined)[] = [];
  list.onNameGiven((name) => told.push(name));
  expect(list.followsNames).toBe(false);
  void list.watch();
  await turn();
  expect(list.followsNames).toBe(true);
  engine.event('{"Action":"create","Actor":{"Attributes":{"name":"web"}}}');
  engine.event('{"Action":"start","Actor":{"Attributes":{"name":"web"}}}');
  engine.followers.at(-1)?.end();
  expect(await until(async () => !list.followsNames, 20_000)).toBe(true);
  expect(told).toEqual(["web", undefined]);
});

test("nothing is cached while events can't be followed, and caching resumes afterwards", async () => {
  const engine = new SlowEngine(true);
  const list = await listOf(engine);
  await list.read();
  engine.followers[0]?.end();
  await turn();
  engine.containers = [info({ Names: ["/new"] })];
  expect(await names(list)).toEqual(["new"]);
  engine.containers = [];
  expect(await names(list)).toEqual([]);
  expect(await until(() => engine.followers.length === 2, 10_000)).toBe(true);
  await turn();
  const before = engine.questions;
  await list.read();
  await list.read();
  expect(engine.questions).toBe(before + 1);
});

test("a failed read is not cached", async () => {
  const engine = new SlowEngine(true);
  const list = await listOf(engine);
  engine.failure = new AppError("ENGINE_UNREACHABLE");
  await expect(list.read()).rejects.toBe(engine.failure);
  engine.failure = undefined;
  expect(await names(list)).toEqual([]);
});

test("a read during which something changed is not cached", async () => {
  const engine = new SlowEngine(false);
  const list = await listOf(engine);
  const early = list.read();
  await turn();
  engine.containers = [info({ Names: ["/new"] })];
  list.invalidate();
  engine.asked[0]?.();
  expect((await early).containers).toEqual([]);
  const late = names(list);
  await turn();
  engine.asked[1]?.();
  expect(await late).toEqual(["new"]);
});

test("a read that begins after a change never returns an older state, in any order of the engine's responses", async () => {
  const step = fc.oneof(fc.constant("read" as const), fc.constant("change" as const), fc.constant("event" as const), fc.nat(5));
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 25 }), fc.boolean(), async (steps, watched) => {
      const engine = new SlowEngine(false);
      const list = await listOf(engine, watched);
      const reads: Promise<{ atLeast: number; got: number }>[] = [];
      let version = 0;
      let known = 0;
      for (const each of steps) {
        if (each === "read") {
          const atLeast = known;
          reads.push(list.read().then(({ containers }) => ({ atLeast, got: Number(containers[0]?.name ?? 0) })));
        } else if (each === "change" || each === "event") {
          version += 1;
          engine.containers = [info({ Names: [`/${version}`] })];
          if (each === "change") list.invalidate();
          else if (watched) engine.event();
          // Its event arrives in the next turn of the event loop.
          await turn();
          if (watched || each === "change") known = version;
        } else {
          engine.asked.splice(each % Math.max(1, engine.asked.length), 1)[0]?.();
        }
        await turn();
      }
      while (engine.asked.length > 0) engine.asked.shift()?.();
      for (const { atLeast, got } of await Promise.all(reads)) expect(got).toBeGreaterThanOrEqual(atLeast);
      list.close();
    }),
    { numRuns: 300 },
  );
});

describe("find", () => {
  const engine = new SlowEngine(true);
  const prefix = "abcdefabcdef";
  const other = `${prefix}${"1".repeat(52)}`;
  const find = async (id: string, allowed = true) => (await (await listOf(engine)).find(id, { prefix: allowed })).id;
  beforeEach(() => {
    engine.containers = [
      info({ Id: ID("a"), Names: ["/web"] }),
      info({ Id: other, Names: ["/db", "/web/alias"] }),
      info({ Id: `${prefix}${"2".repeat(52)}`, Names: ["/aaaaaaaaaaaa"] }),
    ];
  });

  test("accepts a name, a full id and a prefix of 12 digits or more", async () => {
    expect(await find("web")).toBe(ID("a"));
    expect(await find("db")).toBe(other);
    expect(await find(other, false)).toBe(other);
    expect(await find(`${prefix}1`)).toBe(other);
    expect(await find("a".repeat(13))).toBe(ID("a"));
  });

  test("prefers a name to a prefix of an id", async () => {
    expect(await find("aaaaaaaaaaaa")).toBe(`${prefix}${"2".repeat(52)}`);
  });

  test.each(["a".repeat(11), "we", "WEB", "A".repeat(13), "alias", "web/alias", "/web", "", "a".repeat(65), "nowhere"])(
    "finds no container for %j",
    async (id) => {
      await expect(find(id)).rejects.toMatchObject({ code: "CONTAINER_NOT_FOUND", status: 404, details: { id } });
    },
  );

  test("refuses an ambiguous prefix and names both candidates", async () => {
    const candidates = [other, `${prefix}${"2".repeat(52)}`];
    await expect(find(prefix)).rejects.toMatchObject({ code: "AMBIGUOUS_ID", status: 409, details: { candidates } });
  });

  test("accepts no prefix unless prefixes are allowed", async () => {
    await expect(find(`${prefix}1`, false)).rejects.toMatchObject({ code: "CONTAINER_NOT_FOUND" });
    await expect(find(prefix, false)).rejects.toMatchObject({ code: "CONTAINER_NOT_FOUND" });
  });

  test("finds a container of another process before its event has arrived", async () => {
    const list = await listOf(engine);
    await list.read();
    engine.containers = [info({ Id: ID("b"), Names: ["/new"] })];
    expect((await list.find("new", { prefix: true })).id).toBe(ID("b"));
  });

  test("finds a container that was created after a concurrent request was sent", async () => {
    const slow = new SlowEngine(false);
    const list = await listOf(slow);
    const early = list.read();
    await turn();
    slow.containers = [info({ Id: ID("b"), Names: ["/new"] })];
    const found = list.find("new", { prefix: true });
    slow.asked[0]?.();
    await early;
    await turn();
    slow.asked[1]?.();
    expect((await found).id).toBe(ID("b"));
  });
});

test("a container of the engine's list is converted to a summary", async () => {
  const engine = new SlowEngine(true);
  const ports = [
    { IP: "0.0.0.0", PrivatePort: 80, PublicPort: 8080, Type: "tcp" },
    { PrivatePort: 53, Type: "udp" },
  ];
  const odd = { Names: undefined, Ports: undefined, Labels: undefined } as unknown as Partial<ContainerInfo>;
  engine.containers = [
    info({ Names: ["/other/link", "/web"], Created: 1_700_000_000, Ports: ports as ContainerInfo["Ports"], Labels: { a: "b" } }),
    info(odd),
  ];
  const { containers } = await (await listOf(engine)).read();
  expect(containers[0]).toEqual({
    id: ID("a"),
    name: "web",
    image: "i",
    command: "c",
    created: "2023-11-14T22:13:20.000Z",
    state: "running",
    status: "Up",
    ports: [
      { host_ip: "0.0.0.0", host: 8080, container: 80, protocol: "tcp" },
      { container: 53, protocol: "udp" },
    ],
    labels: { a: "b" },
    host: "node-1",
  });
  expect(containers[1]).toMatchObject({ name: "", ports: [], labels: {} });
});

test("a managed container is found by its alias, one that has the labels from its image is not, and a name comes before an alias", async () => {
  const engine = new SlowEngine(true);
  const labels = (cuid: string) => ({ "docker-server.alias": "web", "docker-server.cuid": cuid });
  engine.containers = [
    info({ Id: ID("a"), Names: ["/copy"], Labels: labels("c1") }),
    info({ Id: ID("b"), Names: ["/c1"], Labels: labels("c1") }),
  ];
  const list = await listOf(engine);
  await expect(list.find("web", { prefix: false })).resolves.toMatchObject({ name: "c1" });
  await expect(list.assertFree("web")).rejects.toThrow("The name web is taken");
  await expect(list.assertFree("copy")).rejects.toThrow("The name copy is taken");
  await list.assertFree("free");
  engine.containers = [...engine.containers, info({ Id: ID("c"), Names: ["/web"] })];
  list.invalidate();
  await expect(list.find("web", { prefix: false })).resolves.toMatchObject({ id: ID("c") });
});

test("a lookup during a replacement finds the new container, or nothing if the replacement fails", async () => {
  const engine = new SlowEngine(true);
  const list = await listOf(engine);
  let made = () => {};
  const work = new Promise<void>((resolve) => {
    made = resolve;
  });
  const replaced = list.whileReplacing(["web", "alias"], () => work);
  const asked = list.find("web", { prefix: false });
  await expect(list.find("other", { prefix: false })).rejects.toThrow("No such container");
  engine.containers = [info({ Names: ["/web"] })];
  await expect(asked).resolves.toMatchObject({ name: "web" });
  made();
  await replaced;
  const failed = list.whileReplacing(["gone"], () => Promise.reject(new Error("no")));
  await expect(failed).rejects.toThrow("no");
  engine.containers = [];
  await expect(list.find("gone", { prefix: false })).rejects.toThrow("No such container");
});

test("while the events are silent, a container made anew is found once the engine has said that the old one is gone", async () => {
  const engine = new SlowEngine(true);
  engine.containers = [info({ Id: ID("a"), Names: ["/web"] })];
  const list = await listOf(engine);
  const idOf = async () => (await list.find("web", { prefix: false })).id;
  expect(await idOf()).toBe(ID("a"));
  engine.containers = [info({ Id: ID("b"), Names: ["/web"] })];
  engine.onContainerNotFound?.();
  expect(await idOf()).toBe(ID("b"));
});

test("while the events are silent, nothing is remembered for longer than a second", async () => {
  const engine = new SlowEngine(true);
  engine.containers = [info({ Id: ID("a"), Names: ["/web"] })];
  const list = await listOf(engine);
  for (const find of [() => list.find("web", { prefix: false }), () => list.read()]) await find();
  engine.containers = [info({ Id: ID("b"), Names: ["/web"] })];
  expect(await until(async () => (await list.find("web", { prefix: false })).id === ID("b"), 20_000)).toBe(true);
});

test("while the events are silent, the engine's 404 for a remembered id makes the next lookup ask it", async () => {
  const engines = new EngineServers();
  let id = ID("a");
  let listed = 0;
  const { engine } = await engines.start(
    ({ url = "" }, response) => {
      if (url.includes("/events")) return response.flushHeaders();
      response.writeHead(url.includes("/containers/json") || url.includes(id) ? 200 : 404, { "Content-Type": "application/json" });
      if (!url.includes("/containers/json")) return response.end('{"message":"No such container: web"}');
      listed += 1;
      response.end(JSON.stringify([info({ Id: id, Names: ["/web"] })]));
    },
    { read: 60_000, write: 60_000 },
  );
  const list = new ContainerList(engine, "node-1", quietLog().log);
  open.push(list);
  void list.watch();
  const idOf = async () => (await list.find("web", { prefix: false })).id;
  const isRemembered = async () => {
    await idOf();
    const before = listed;
    await idOf();
    return listed === before;
  };
  expect(await until(isRemembered, 20_000)).toBe(true);
  id = ID("b");
  await expect(engine.call((docker) => docker.getContainer(ID("a")).inspect())).rejects.toMatchObject({ code: "CONTAINER_NOT_FOUND" });
  expect(await idOf()).toBe(ID("b"));
  list.close();
  engines.stop();
});
