import fc from "fast-check";
import type { Found, Holding } from "../../../../lib/cluster/local-host";
import { locateContainer } from "../../../../lib/cluster/routing/locate";
import type { AppError } from "../../../../lib/errors";
import { foundOf, noAnswer, peerOf, poolOf } from "../../../support/unit/cluster-parts";

const NOTHING: Holding = { exact: [], prefix: [] };
const PREFIX = { prefix: true };

/** A pool of n0 (this node), n1 … that hold what is given; one that holds `undefined` gives no answer. */
function pool(holdings: (Holding | undefined)[]) {
  const answer = async (name: string) => holdings[Number(name.slice(1))] ?? Promise.reject(noAnswer(name));
  return poolOf({
    peers: holdings.slice(1).map((_, index) => peerOf(`n${index + 1}`)),
    own: () => answer("n0"),
    ask: (peer) => answer(peer.name),
  });
}

const exact = (...found: Found[]): Holding => ({ exact: found, prefix: [] });
const prefix = (...found: Found[]): Holding => ({ exact: [], prefix: found });
const [web, other] = [foundOf(), foundOf({ id: "b".repeat(64), name: "other" })];

test("who has the very name is the owner, even if another's id begins so", async () => {
  const { owners, missing } = await locateContainer(pool([prefix(other), exact(web), NOTHING]), "web", PREFIX);
  expect(owners).toEqual([{ node: "n1", found: web }]);
  expect(missing).toEqual([]);
});

test("all who have the very name are owners, this node among them", async () => {
  const { owners } = await locateContainer(pool([exact(web), NOTHING, exact(web)]), "web", PREFIX);
  expect(owners.map(({ node }) => node)).toEqual(["n0", "n2"]);
});

test.each([
  ["on two nodes", [NOTHING, prefix(web), prefix(other)]],
  ["on one node", [prefix(web, other), NOTHING, NOTHING]],
])("the beginning of two ids %s is ambiguous, and both are named", async (_where, holdings) => {
  const error = await locateContainer(pool(holdings), "0123456789ab", PREFIX).catch((reason: AppError) => reason);
  const candidates = [web, other].map(({ id, name }) => expect.objectContaining({ id, name }));
  expect(error).toMatchObject({ code: "AMBIGUOUS_ID", details: { candidates } });
});

test("the beginning of an id finds the one container that has it, if that is allowed, else nothing", async () => {
  const holdings = [NOTHING, prefix(web)];
  expect((await locateContainer(pool(holdings), "aaaaaaaaaaaa", PREFIX)).owners).toEqual([{ node: "n1", found: web }]);
  await expect(locateContainer(pool(holdings), "aaaaaaaaaaaa", { prefix: false })).rejects.toMatchObject({ code: "CONTAINER_NOT_FOUND" });
});

test("what is nowhere on nodes that all answer is not found", async () => {
  const error = { code: "CONTAINER_NOT_FOUND", status: 404, details: { id: "web" } };
  await expect(locateContainer(pool([NOTHING, NOTHING]), "web", PREFIX)).rejects.toMatchObject(error);
});

test.each([
  ["a peer", [NOTHING, undefined, NOTHING], "n1", "n1 refused"],
  ["this node's own engine", [undefined, NOTHING, NOTHING], "n0", "n0: n0 refused"],
])("what is nowhere while %s does not answer may be there: the missing one is named", async (_who, holdings, node, reason) => {
  await expect(locateContainer(pool(holdings), "web", PREFIX)).rejects.toMatchObject({
    code: "NODES_MISSING",
    status: 503,
    message: expect.stringContaining(node),
    details: { id: "web", missing: [{ node, reason }] },
  });
});

test("what was found is found, whoever is missing besides, and they are named", async () => {
  const { owners, missing } = await locateContainer(pool([undefined, exact(web), undefined]), "web", PREFIX);
  expect(owners.map(({ node }) => node)).toEqual(["n1"]);
  expect(missing.map(({ node }) => node)).toEqual(["n0", "n2"]);
});

test("peers are asked for the id as it was given", async () => {
  const asked: unknown[] = [];
  const one = poolOf({ peers: [peerOf("n1")], ask: async (_peer, question, body) => asked.push([question, body]) && exact(web) });
  await locateContainer(one, "a b/../?&#%", PREFIX);
  expect(asked).toEqual([["find", { id: "a b/../?&#%" }]]);
});

const some = fc.array(fc.constantFrom(web, other), { maxLength: 2 });
const anyHolding = fc.option(fc.record({ exact: some, prefix: some }), { nil: undefined });

test("whatever nodes hold and whoever is missing: exact names come first, a beginning counts if it is the only one and allowed", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyHolding, { minLength: 1, maxLength: 5 }), fc.boolean(), async (holdings, allowed) => {
      const outcome = await locateContainer(pool(holdings), "web", { prefix: allowed }).catch((error: AppError) => error);
      const [exactly, beginning] = (["exact", "prefix"] as const).map((kind) =>
        holdings.flatMap((holding, index) => (holding?.[kind] ?? []).map((found) => ({ node: `n${index}`, found }))),
      ) as [object[], object[]];
      const away = holdings.flatMap((holding, index) => (holding ? [] : [expect.objectContaining({ node: `n${index}` })]));
      if (exactly.length > 0) expect(outcome).toEqual({ owners: exactly, missing: away });
      else if (allowed && beginning.length === 1) expect(outcome).toEqual({ owners: beginning, missing: away });
      else if (allowed && beginning.length > 1) expect(outcome).toMatchObject({ code: "AMBIGUOUS_ID" });
      else expect(outcome).toMatchObject({ code: away.length > 0 ? "NODES_MISSING" : "CONTAINER_NOT_FOUND" });
    }),
  );
});
