import fc from "fast-check";
import { type NameAnswer, NameClaims } from "../../../../lib/cluster/scheduling/name-claims";
import { AppError } from "../../../../lib/errors";

interface Host {
  node: string;
  names: NameClaims;
  containers: Set<string>;
  started: Set<string>;
}

/** Hosts that ask each other over a network that delays each message as the scheduler decides. */
function network(size: number, scheduler: fc.Scheduler): Host[] {
  const hosts: Host[] = [];
  for (let index = 0; index < size; index += 1) {
    const containers = new Set<string>();
    const host: Host = { node: `n${index}`, containers, started: new Set(), names: undefined as unknown as NameClaims };
    host.names = new NameClaims(
      async (name, claim) => {
        const others = hosts.filter((other) => other !== host);
        const answers = await Promise.all(
          others.map(async ({ node, names }) => {
            await scheduler.schedule(Promise.resolve(), `${host.node} asks ${node}`);
            const value: NameAnswer = await names.answer(name, claim);
            await scheduler.schedule(Promise.resolve(), `${node} answers ${host.node}`);
            return { node, value };
          }),
        );
        return { answers, missing: [] };
      },
      async (name, started) => (started ? host.started : containers).has(name),
    );
    hosts.push(host);
  }
  return hosts;
}

/** Creates, asks and starts, as a node does it with a run. */
async function run(host: Host, name: string, scheduler: fc.Scheduler): Promise<boolean> {
  await scheduler.schedule(Promise.resolve(), `${host.node} gets the request`);
  const claim = host.names.open(name);
  try {
    await scheduler.schedule(Promise.resolve(), `${host.node} creates`);
    if (host.containers.has(name)) return false;
    host.containers.add(name);
    try {
      await claim.confirm();
      await scheduler.schedule(Promise.resolve(), `${host.node} starts`);
      host.started.add(name);
      return true;
    } catch (error) {
      await scheduler.schedule(Promise.resolve(), `${host.node} removes its own`);
      host.containers.delete(name);
      throw error;
    }
  } finally {
    claim.close();
  }
}

test("of containers of one name run on all hosts at once exactly one starts, in any order of messages", async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.integer({ min: 2, max: 5 }), async (scheduler, size) => {
      const hosts = network(size, scheduler);
      const outcomes = hosts.map((host) =>
        run(host, "same", scheduler).catch((error: AppError) => {
          expect(error.code).toBe("NAME_TAKEN");
          return false;
        }),
      );
      await scheduler.waitFor(Promise.all(outcomes));
      expect(hosts.filter(({ started }) => started.has("same"))).toHaveLength(1);
      expect(hosts.filter(({ containers }) => containers.has("same"))).toHaveLength(1);
    }),
    { numRuns: 500 },
  );
});

test("a name that another host has is refused, with the name of the host", async () => {
  const names = new NameClaims(
    async () => ({ answers: [{ node: "n2", value: { taken: true } }], missing: [] }),
    async () => false,
  );
  await expect(names.open("web").confirm()).rejects.toMatchObject({ code: "NAME_TAKEN", details: { name: "web", node: "n2" } });
});

test("a name can be claimed once at a time on one host", () => {
  const names = new NameClaims(
    async () => ({ answers: [], missing: [] }),
    async () => false,
  );
  const first = names.open("web");
  expect(() => names.open("web")).toThrow(AppError);
  first.close();
  names.open("web").close();
});
