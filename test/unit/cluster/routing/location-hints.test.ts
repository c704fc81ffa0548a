import fc from "fast-check";
import type { Found, Holding } from "../../../../lib/cluster/local-host";
import { locateContainer } from "../../../../lib/cluster/routing/locate";
import { LocationHints } from "../../../../lib/cluster/routing/location-hints";
import { findWithLease, LookupLeases } from "../../../../lib/cluster/routing/lookup-leases";
import type { AppError } from "../../../../lib/errors";
import { accessOf } from "../../../support/unit/access-parts";
import { foundOf, noAnswer, peerOf, poolOf } from "../../../support/unit/cluster-parts";

/** What a node has, and how it behaves. */
class SimulatedNode {
  containers: Found[] = [];
  answers = true;
  followsNames = true;
  /** of an earlier version: without leases */
  isEarlier = false;
  private leases: LookupLeases;

  /** @param notify tells n0 */
  constructor(
    private readonly isHere: boolean,
    private readonly notify: (name: string | undefined) => void,
  ) {
    this.leases = new LookupLeases((_node, name) => notify(name));
  }

  give(found: Found): void {
    this.containers.push(found);
    if (this.followsNames) this.tellName(found.name);
  }

  follow(follows: boolean): void {
    this.followsNames = follows;
    if (!follows) this.tellName(undefined);
  }

  private tellName(name: string | undefined): void {
    if (this.isHere) this.notify(name);
    else this.leases.notifyNamed(name);
  }

  remove(name: string): void {
    this.containers = this.containers.filter((found) => found.name !== name);
  }

  restart(): void {
    this.leases = new LookupLeases((_node, name) => this.notify(name));
  }

  async holding(id: string): Promise<Holding> {
    const exact = this.containers.filter((found) => found.name === id || found.id === id);
    return { exact, prefix: this.containers.filter((found) => /^[0-9a-f]{12,63}$/.test(id) && found.id.startsWith(id)) };
  }

  find({ id, lease }: { id: string; lease?: boolean }): Promise<object> {
    if (this.isEarlier) return this.holding(id);
    const host = { find: () => this.holding(id), followsNames: () => this.followsNames } as never;
    return findWithLease(host, id, undefined, lease ? this.leases.grant("n0", id) : undefined);
  }
}

/** n0 and its peers; `asked` has the name of each peer that was asked. */
function poolOfNodes(count: number) {
  const asked: string[] = [];
  const nodes = Array.from({ length: count }, (_, index) => new SimulatedNode(index === 0, (name) => pool.hints.forget(name)));
  const nodeOf = (name: string) => nodes[Number(name.slice(1))] as SimulatedNode;
  const peers = nodes.slice(1).map((_, index) => peerOf(`n${index + 1}`));
  const pool = poolOf({
    peers,
    ask: async ({ name }, _method, params) => {
      asked.push(name);
      if (!nodeOf(name).answers) throw noAnswer(name);
      return nodeOf(name).find(params as { id: string });
    },
  });
  const here = nodeOf("n0");
  pool.host.find = (id) => (here.answers ? here.holding(id) : Promise.reject(new Error("n0 refused")));
  pool.host.followsNames = () => here.followsNames;
  const lookUp = (id: string, askAll = false) =>
    locateContainer(pool, id, { prefix: true, askAll }).catch(({ code, details }: AppError) => ({ code, details }));
  /** The peers that one lookup asks. */
  const askedBy = async (id: string) => {
    asked.length = 0;
    await lookUp(id);
    return asked.join(" ");
  };
  return { pool, peers, nodes, nodeOf, lookUp, askedBy };
}

const web = foundOf();

test("a lookup of a name or full id that was found once asks only its node", async () => {
  const { nodeOf, lookUp, askedBy } = poolOfNodes(4);
  nodeOf("n2").give(web);
  for (const id of ["web", web.id]) {
    expect(await askedBy(id)).toBe("n1 n2 n3");
    expect(await askedBy(id)).toBe("n2");
    expect(await lookUp(id)).toEqual({ owners: [{ node: "n2", found: web }], missing: [] });
  }
});

test("a container of this node is found again without a message", async () => {
  const { nodeOf, askedBy } = poolOfNodes(3);
  nodeOf("n0").give(web);
  expect(await askedBy("web")).toBe("n1 n2");
  expect(await askedBy("web")).toBe("");
});

test("a container that has moved is found by asking its old node and then all", async () => {
  const { nodeOf, lookUp, askedBy } = poolOfNodes(3);
  nodeOf("n1").give(web);
  await lookUp("web");
  nodeOf("n1").remove("web");
  expect(await askedBy("web")).toBe("n1 n1 n2");
  expect(await lookUp("web")).toMatchObject({ code: "CONTAINER_NOT_FOUND" });
  nodeOf("n2").give(web);
  expect(await lookUp("web")).toMatchObject({ owners: [{ node: "n2" }] });
});

test("a second container of the name on another node, this one included, is seen in the next lookup", async () => {
  for (const second of ["n0", "n2"]) {
    const { nodeOf, lookUp } = poolOfNodes(3);
    nodeOf("n1").give(web);
    await lookUp("web");
    nodeOf(second).give(foundOf({ id: "b".repeat(64) }));
    expect(await lookUp("web")).toMatchObject({ owners: [expect.anything(), expect.anything()] });
  }
});

test("a prefix of an id is asked of all nodes every time", async () => {
  const { nodeOf, lookUp, askedBy } = poolOfNodes(3);
  nodeOf("n1").give(web);
  await lookUp("aaaaaaaaaaaa");
  expect(await askedBy("aaaaaaaaaaaa")).toBe("n1 n2");
});

test.each<[string, string, Partial<SimulatedNode>]>([
  ["a peer is of an earlier version", "n2", { isEarlier: true }],
  ["a peer does not follow its engine's events", "n2", { followsNames: false }],
  ["this node does not follow its engine's events", "n0", { followsNames: false }],
])("as long as %s, all nodes are asked", async (_title, name, state) => {
  const { nodeOf, lookUp, askedBy } = poolOfNodes(3);
  nodeOf("n1").give(web);
  Object.assign(nodeOf(name), state);
  await lookUp("web");
  expect(await askedBy("web")).toBe("n1 n2");
});

test("a name given while all nodes are asked leaves no hint", async () => {
  const { pool, nodeOf, lookUp } = poolOfNodes(3);
  nodeOf("n1").give(web);
  const second = nodeOf("n2");
  const find = second.find.bind(second);
  second.find = async (params) => {
    const answer = await find(params);
    second.give(foundOf({ id: "b".repeat(64) }));
    return answer;
  };
  expect(await lookUp("web")).toMatchObject({ owners: [{ node: "n1" }] });
  expect(pool.hints.get("web", "")).toBeUndefined();
});

test("a name given while the hinted node is asked makes the lookup ask all", async () => {
  const { nodeOf, lookUp } = poolOfNodes(3);
  nodeOf("n1").give(web);
  await lookUp("web");
  const asking = lookUp("web");
  nodeOf("n2").give(foundOf({ id: "b".repeat(64) }));
  expect(await asking).toMatchObject({ owners: [{ node: "n1" }, { node: "n2" }] });
});

test("with a node that is marked missing a lookup goes by its hint, and still names that node", async () => {
  const { nodeOf, lookUp, askedBy } = poolOfNodes(4);
  nodeOf("n1").give(web);
  nodeOf("n3").answers = false;
  await lookUp("web");
  expect(await askedBy("web")).toBe("n1");
  expect(await lookUp("web")).toMatchObject({ missing: [{ node: "n3", reason: "n3 refused" }] });
});

test("a hinted node that gives no answer is missing, as without the hint", async () => {
  const { nodeOf, lookUp } = poolOfNodes(3);
  nodeOf("n1").give(web);
  await lookUp("web");
  nodeOf("n1").answers = false;
  expect(await lookUp("web")).toMatchObject({ code: "NODES_MISSING", details: { missing: [{ node: "n1" }] } });
});

test("what one client has found is no hint for another, and neither is what a narrow token names", async () => {
  const { pool, nodeOf, lookUp } = poolOfNodes(2);
  nodeOf("n1").give(web);
  await lookUp("web");
  const narrow = accessOf({ labels: { team: "a" } });
  expect(pool.hints.get("web", narrow.key)).toBeUndefined();
  expect(pool.hints.get("web", "")).toMatchObject({ node: "n1" });
});

test("a process that may share its port with the one before it keeps hints only after the delay", async () => {
  jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate"] });
  try {
    const hints = new LocationHints(1000);
    const keep = () => hints.prepare("web", "")({ node: "n1", isAlias: false, missing: [] }, 60_000);
    keep();
    expect(hints.get("web", "")).toBeUndefined();
    jest.advanceTimersByTime(1000);
    keep();
    expect(hints.get("web", "")).toMatchObject({ node: "n1" });
  } finally {
    jest.useRealTimers();
  }
});

const NAMES = ["web", "db"] as const;
type Step = { node: number; name: (typeof NAMES)[number]; act: "give" | "remove" | "restart" | "fail" | "recover" | "unfollow" | "look" };
const step: fc.Arbitrary<Step> = fc.record({
  node: fc.integer({ min: 0, max: 3 }),
  name: fc.constantFrom(...NAMES),
  act: fc.constantFrom("give", "remove", "restart", "fail", "recover", "unfollow", "look", "look", "look"),
});

test("whatever happens to nodes and containers, a lookup answers what one that asks all nodes answers", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const { pool, peers, nodes, lookUp } = poolOfNodes(4);
      for (const [index, { node: number, name, act }] of steps.entries()) {
        const node = nodes[number] as SimulatedNode;
        if (act === "give") node.give(foundOf({ id: index.toString(16).padStart(64, "0"), name }));
        else if (act === "remove") node.remove(name);
        else if (act === "unfollow") node.follow(!node.followsNames);
        else if (act === "restart") {
          node.restart();
          // As its new record does.
          pool.hints.forget();
        } else if (number > 0 && act === "fail") {
          node.answers = false;
          peers[number - 1]?.markMissing("n refused");
          pool.hints.forget();
        } else if (act === "recover") {
          node.answers = true;
          if (number > 0) peers[number - 1]?.markAlive();
          pool.hints.forget();
        }
        const looked = await lookUp(name);
        expect(looked).toEqual(await lookUp(name, true));
        expect(await lookUp(name)).toEqual(looked);
      }
    }),
    { numRuns: 50 },
  );
});
