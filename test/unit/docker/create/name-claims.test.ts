import fc from "fast-check";
import type { ContainerSummary } from "../../../../lib/docker/containers/container-list";
import { type NameAnswer, NameClaims } from "../../../../lib/docker/create/name-claims";
import { type AppError, nameTaken } from "../../../../lib/errors";

interface Host {
  node: string;
  names: NameClaims;
  containers: Set<string>;
}

/** Hosts that ask each other over a network that delays each message, and each look at a host's containers, as the scheduler decides. */
function network(size: number, scheduler: fc.Scheduler): Host[] {
  const hosts: Host[] = [];
  for (let index = 0; index < size; index += 1) {
    const containers = new Set<string>();
    const node = `n${index}`;
    const list = {
      assertFree: async (name: string) => {
        await scheduler.schedule(Promise.resolve(), `${node} looks`);
        if (containers.has(name)) throw nameTaken(name);
      },
      findMatches: async (name: string) => {
        const exact = containers.has(name) ? [{} as ContainerSummary] : [];
        await scheduler.schedule(Promise.resolve(), `${node} finds`);
        return { exact, prefix: [] };
      },
    };
    const host: Host = { node, containers, names: new NameClaims(list) };
    host.names.askOthers = async (name, claim) => {
      const others = hosts.filter((other) => other !== host);
      const answers = await Promise.all(
        others.map(async (other) => {
          await scheduler.schedule(Promise.resolve(), `${node} asks ${other.node}`);
          const value: NameAnswer = await other.names.answer(name, claim);
          await scheduler.schedule(Promise.resolve(), `${other.node} answers ${node}`);
          return { node: other.node, value };
        }),
      );
      return { answers };
    };
    hosts.push(host);
  }
  return hosts;
}

/** Creates, asks and starts, as a node does it with a run. @returns whether the container was started */
async function run(host: Host, name: string, scheduler: fc.Scheduler): Promise<boolean> {
  await scheduler.schedule(Promise.resolve(), `${host.node} gets the request`);
  return host.names.whileClaimed(name, async (claim) => {
    await scheduler.schedule(Promise.resolve(), `${host.node} creates`);
    if (host.containers.has(name)) throw new Error("this was looked for");
    host.containers.add(name);
    try {
      await claim.confirm();
      await scheduler.schedule(Promise.resolve(), `${host.node} starts`);
      return true;
    } catch (error) {
      await scheduler.schedule(Promise.resolve(), `${host.node} removes its own`);
      host.containers.delete(name);
      throw error;
    }
  });
}

async function runEverywhere(hosts: Host[], name: string, scheduler: fc.Scheduler): Promise<number> {
  const runs = hosts.map((host) =>
    run(host, name, scheduler).catch((error: AppError) => {
      expect(error.code).toBe("NAME_TAKEN");
      return false;
    }),
  );
  const started = await scheduler.waitFor(Promise.all(runs));
  return started.filter(Boolean).length;
}

test("of containers of one name run on all hosts at once exactly one starts, in any order of messages", async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.integer({ min: 2, max: 5 }), async (scheduler, size) => {
      const hosts = network(size, scheduler);
      expect(await runEverywhere(hosts, "same", scheduler)).toBe(1);
      expect(hosts.filter(({ containers }) => containers.has("same"))).toHaveLength(1);
    }),
    { numRuns: 500 },
  );
});

test("a name of a container that was made before, started or not, is given to no other on any host, in any order of messages", async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.integer({ min: 2, max: 5 }), async (scheduler, size) => {
      const hosts = network(size, scheduler);
      hosts[0]?.containers.add("same");
      expect(await runEverywhere(hosts, "same", scheduler)).toBe(0);
      expect(hosts.filter(({ containers }) => containers.has("same"))).toEqual([hosts[0]]);
    }),
    { numRuns: 500 },
  );
});

const nothingHere = { assertFree: async () => undefined, findMatches: async () => ({ exact: [], prefix: [] }) };

test("a name that another host has is refused, with the name of the host", async () => {
  const names = new NameClaims(nothingHere);
  names.askOthers = async () => ({ answers: [{ node: "n2", value: { taken: true } }] });
  const claimed = names.whileClaimed("web", (claim) => claim.confirm());
  await expect(claimed).rejects.toMatchObject({ code: "NAME_TAKEN", details: { name: "web", node: "n2" } });
});

test("a name is claimed once at a time on one host, and one that the host has not at all; other kinds have names of their own", async () => {
  const held = new Set(["held"]);
  const names = new NameClaims({
    ...nothingHere,
    assertFree: async (name) => {
      if (held.has(name)) throw nameTaken(name);
    },
  });
  const again = () => names.whileClaimed("web", async () => undefined);
  await names.whileClaimed("web", async () => {
    await expect(again()).rejects.toMatchObject({ code: "NAME_TAKEN" });
    await names.whileKindClaimed("volume", "web", async () => undefined);
  });
  await again();
  await expect(names.whileClaimed("held", async () => undefined)).rejects.toMatchObject({ code: "NAME_TAKEN" });
  held.clear();
  await names.whileClaimed("held", async () => undefined);
});
