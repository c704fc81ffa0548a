import fc from "fast-check";
import { Access } from "../../../../lib/access/access";
import type { ContainerSummary } from "../../../../lib/docker/containers/container-list";
import { Quotas } from "../../../../lib/docker/create/quotas";
import type { AppError } from "../../../../lib/errors";
import { accessOf } from "../../../support/unit/access-parts";

const HOST = { memory: 8000, cpus: 8 };
const LABELS = { customer: "a" };

/** An engine whose containers have the labels, and the quotas of its node. */
class Host {
  readonly containers = new Map<string, ContainerSummary & { memory: number }>();
  readonly quotas: Quotas;

  constructor(
    readonly node: string,
    delay: (what: string) => Promise<unknown> = async () => undefined,
  ) {
    const list = {
      readFiltered: async () => {
        await delay(`${node} lists`);
        return [...this.containers.values()];
      },
    };
    const usableWithin = async ({ memory, cpus }: { memory: number; cpus: number }) => ({
      memory: memory || HOST.memory,
      cpus: cpus || HOST.cpus,
    });
    const usableBy = async (id: string) => {
      const found = [...this.containers.values()].find((each) => each.id === id);
      await delay(`${node} inspects`);
      return found && usableWithin({ memory: found.memory, cpus: 0 });
    };
    this.quotas = new Quotas(node, list, { filterCounted: async (all) => [...all] }, { usableBy, usableWithin }, 1);
  }

  add(name: string, { memory = 0, state = "running", labels = {} as Record<string, string> } = {}): void {
    const id = `id of ${name}`;
    this.containers.set(name, { id, name, state, memory, labels: { ...LABELS, ...labels } } as unknown as ContainerSummary & {
      memory: number;
    });
  }

  /** Creates, asks and starts, as a node does it with a run. */
  async run(name: string, access: Access, memory: number, delay: (what: string) => Promise<unknown>): Promise<boolean> {
    await delay(`${this.node} gets ${name}`);
    const room = this.quotas.open(name, access);
    try {
      await delay(`${this.node} creates ${name}`);
      this.add(name, { memory, state: "created" });
      await delay(`${this.node} asks for ${name}`);
      await room.confirm();
      await delay(`${this.node} starts ${name}`);
      this.add(name, { memory });
      return true;
    } catch (error) {
      expect(error).toMatchObject({ code: "REFUSED_BY_TOKEN", details: { caveat: "max" } });
      await delay(`${this.node} removes ${name}`);
      this.containers.delete(name);
      return false;
    } finally {
      room.close();
    }
  }
}

/** Hosts that ask each other over a network that delays each message as the scheduler decides. */
function network(size: number, scheduler: fc.Scheduler): Host[] {
  const delay = (what: string) => scheduler.schedule(Promise.resolve(), what);
  const hosts = Array.from({ length: size }, (_, index) => new Host(`n${index}`, delay));
  for (const host of hosts)
    host.quotas.askOthers = async (labels) => {
      const others = hosts.filter((each) => each !== host);
      const ask = async (other: Host) => {
        await delay(`${host.node} asks ${other.node}`);
        const value = await other.quotas.count(labels);
        await delay(`${other.node} answers ${host.node}`);
        return { node: other.node, value };
      };
      return { answers: await Promise.all(others.map(ask)), missing: [] };
    };
  return hosts;
}

const startedOn = (hosts: Host[]) => hosts.flatMap(({ containers }) => [...containers.values()]).filter(({ state }) => state === "running");

describe("creations on all hosts at once, in any order of messages", () => {
  test("start exactly as many containers as a token may have, and leave no other", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 2, max: 6 }),
        fc.integer({ min: 0, max: 4 }),
        async (scheduler, size, count, limit) => {
          const hosts = network(size, scheduler);
          const access = accessOf({ labels: LABELS, max: { containers: limit } });
          const delay = (what: string) =>
            scheduler.schedule(Promise.resolve(), what).then(() => expect(startedOn(hosts).length).toBeLessThanOrEqual(limit));
          const runs = Array.from({ length: count }, (_, index) => (hosts[index % size] as Host).run(`c${index}`, access, 0, delay));
          const outcomes = await scheduler.waitFor(Promise.all(runs));
          expect(startedOn(hosts)).toHaveLength(Math.min(limit, count));
          expect(outcomes.filter(Boolean)).toHaveLength(Math.min(limit, count));
          expect(hosts.flatMap(({ containers }) => [...containers.keys()])).toHaveLength(Math.min(limit, count));
        },
      ),
      { numRuns: 150 },
    );
  });

  test("never use more memory than a token may, whatever each needs, and refuse none that fits beside all others", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 2, maxLength: 6 }),
        fc.integer({ min: 1, max: 15 }),
        async (scheduler, needs, limit) => {
          const hosts = network(3, scheduler);
          const access = accessOf({ labels: LABELS, max: { memory: limit } });
          const used = () => startedOn(hosts).reduce((sum, each) => sum + (each as unknown as { memory: number }).memory, 0);
          const delay = (what: string) => scheduler.schedule(Promise.resolve(), what).then(() => expect(used()).toBeLessThanOrEqual(limit));
          const runs = needs.map((memory, index) => (hosts[index % 3] as Host).run(`c${index}`, access, memory, delay));
          const outcomes = await scheduler.waitFor(Promise.all(runs));
          const all = needs.reduce((sum, each) => sum + each, 0);
          if (all <= limit) expect(outcomes).not.toContain(false);
          expect(used()).toBeLessThanOrEqual(limit);
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe("quotas", () => {
  const access = accessOf({ labels: LABELS, max: { containers: 2, memory: 1000, runs: 1 } });

  test("count what exists, running or not, runs apart, and a container without a limit as all of its host", async () => {
    const { quotas, add } = withAdd(new Host("n1"));
    add("a", { memory: 100 });
    add("b", { state: "exited" });
    add("c", { memory: 300, state: "removing" });
    add("docker-server-job-1", { memory: 50 });
    expect(await quotas.count(LABELS)).toEqual({
      settled: { containers: 2, runs: 1, memory: 100 + HOST.memory + 50, cpus: 3 * HOST.cpus },
      pending: [],
    });
  });

  test("count a managed container and the one that replaces it once, and no other with such a name", async () => {
    const { quotas, add } = withAdd(new Host("n1"));
    const cuid = "c".padEnd(25, "x");
    add(cuid, { memory: 100, labels: { "docker-server.cuid": cuid } });
    add(`aaaaaaaaaaaa_${cuid}`, { memory: 300, state: "created", labels: { "docker-server.cuid": cuid } });
    add(`bbbbbbbbbbbb_${cuid}`, { memory: 50 });
    expect((await quotas.count(LABELS)).settled).toMatchObject({ containers: 2, memory: 350 });
  });

  test("a change claims what the container will use, until it is made, and none if it doesn't grow", async () => {
    const { quotas, add } = withAdd(new Host("n1"));
    add("a", { memory: 400 });
    add("b", { memory: 400 });
    const container = { id: "id of a", name: "a" };
    const changeTo = (memory: number, work = async () => (await quotas.count(LABELS)).settled.memory) =>
      quotas.whileChanging(container, { memory, cpus: 8 }, access, work);
    expect(await changeTo(600)).toBe(1000);
    await expect(changeTo(601)).rejects.toMatchObject({ details: { quota: "memory", limit: 1000, used: 800, requested: 201 } });
    await expect(changeTo(0)).rejects.toMatchObject({ details: { quota: "memory" } });
    add("c", { memory: 400 });
    expect(await changeTo(100, async () => 7)).toBe(7);
    expect((await quotas.count(LABELS)).pending).toEqual([]);
  });

  test("nothing is started while a wider token's containers pass them, and all may be if nothing is limited", async () => {
    const { quotas, add } = withAdd(new Host("n1"));
    for (const name of ["a", "b"]) add(name, { memory: 400 });
    await quotas.assertWithin(access);
    add("c", { memory: 1 });
    await expect(quotas.assertWithin(access)).rejects.toMatchObject({
      code: "REFUSED_BY_TOKEN",
      details: { quota: "containers", used: 3 },
    });
    await quotas.assertWithin(Access.full);
    await quotas.open("d", Access.full).confirm();
  });

  test("a run waits for the end of one that is being removed", async () => {
    const host = new Host("n1");
    host.add("docker-server-job-1", { memory: 100 });
    let end = () => {};
    const removal = new Promise<void>((resolve) => {
      end = resolve;
    }).then(() => void host.containers.delete("docker-server-job-1"));
    void host.quotas.whileRemoving("id of docker-server-job-1", removal);
    const room = host.quotas.open("docker-server-job-2", access);
    host.add("docker-server-job-2", { memory: 100, state: "created" });
    const confirmed = room.confirm();
    end();
    await confirmed;
    await expect(host.quotas.assertWithin(access)).resolves.toBeUndefined();
  });

  test("refuse with the names of the nodes that can't be asked", async () => {
    const { quotas } = new Host("n1");
    quotas.askOthers = async () => ({ answers: [], missing: [{ node: "n3", reason: "refused" }] });
    const error: AppError = await quotas
      .open("a", access)
      .confirm()
      .then(
        () => undefined as never,
        (thrown) => thrown,
      );
    expect([error.code, error.status, error.details.missing]).toEqual(["NODES_MISSING", 503, [{ node: "n3", reason: "refused" }]]);
    expect(error.message).toContain("n3 can't be asked");
    quotas.count = () => Promise.reject(new Error("the engine is down"));
    expect(await quotas.used(access)).toEqual([
      { labels: LABELS, max: access.quotas[0]?.max, used: { containers: 0, memory: 0, cpus: 0, runs: 0 }, missing: ["n1", "n3"] },
    ]);
  });

  test("of a narrowed token count by the labels of the link that limits, which no later link changes", () => {
    const narrowed = accessOf({ labels: LABELS, max: { containers: 2 } }, { labels: { team: "x" }, max: { containers: 5 } });
    expect(narrowed.quotas).toEqual([
      { max: { containers: 2 }, labels: LABELS },
      { max: { containers: 5 }, labels: { ...LABELS, team: "x" } },
    ]);
  });
});

function withAdd(host: Host) {
  return { quotas: host.quotas, add: host.add.bind(host) };
}
