import fc from "fast-check";
import type { Found, Holding } from "../../../../lib/cluster/local-host";
import { poolOf as poolOfAccess } from "../../../../lib/cluster/pool";
import { locateContainer, locateVolume } from "../../../../lib/cluster/routing/locate";
import type { AppError } from "../../../../lib/errors";
import { accessOf } from "../../../support/unit/access-parts";
import { foundOf, noAnswer, peerOf, poolOf } from "../../../support/unit/cluster-parts";

const NOTHING: Holding = { exact: [], prefix: [] };
const PREFIX = { prefix: true };

/** A pool of n0 (this node), n1 … with these holdings; a node with `undefined` gives no answer. */
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

test("the container with the exact name is found, even if another container's id begins with that name", async () => {
  const { owners, missing } = await locateContainer(pool([prefix(other), exact(web), NOTHING]), "web", PREFIX);
  expect(owners).toEqual([{ node: "n1", found: web }]);
  expect(missing).toEqual([]);
});

test("all nodes that hold the exact name are owners, this node included", async () => {
  const { owners } = await locateContainer(pool([exact(web), NOTHING, exact(web)]), "web", PREFIX);
  expect(owners.map(({ node }) => node)).toEqual(["n0", "n2"]);
});

test.each([
  ["on two nodes", [NOTHING, prefix(web), prefix(other)]],
  ["on one node", [prefix(web, other), NOTHING, NOTHING]],
])("a prefix of two ids %s is ambiguous, and both containers are listed", async (_holders, holdings) => {
  const error = await locateContainer(pool(holdings), "0123456789ab", PREFIX).catch((reason: AppError) => reason);
  const candidates = [web, other].map(({ id, name }) => expect.objectContaining({ id, name }));
  expect(error).toMatchObject({ code: "AMBIGUOUS_ID", details: { candidates } });
});

test("a prefix of one id finds its container only if prefixes are allowed", async () => {
  const holdings = [NOTHING, prefix(web)];
  expect((await locateContainer(pool(holdings), "aaaaaaaaaaaa", PREFIX)).owners).toEqual([{ node: "n1", found: web }]);
  await expect(locateContainer(pool(holdings), "aaaaaaaaaaaa", { prefix: false })).rejects.toMatchObject({ code: "CONTAINER_NOT_FOUND" });
});

test("a container that no node holds is not found", async () => {
  const error = { code: "CONTAINER_NOT_FOUND", status: 404, details: { id: "web" } };
  await expect(locateContainer(pool([NOTHING, NOTHING]), "web", PREFIX)).rejects.toMatchObject(error);
});

test.each([
  ["a peer", [NOTHING, undefined, NOTHING], "n1", "n1 refused"],
  ["this node's own engine", [undefined, NOTHING, NOTHING], "n0", "n0: n0 refused"],
])("a container not found while %s does not answer is NODES_MISSING", async (_missingNode, holdings, node, reason) => {
  await expect(locateContainer(pool(holdings), "web", PREFIX)).rejects.toMatchObject({
    code: "NODES_MISSING",
    status: 503,
    message: expect.stringContaining(node),
    details: { id: "web", missing: [{ node, reason }] },
  });
});

test("a container is found although other nodes are missing, and those are listed", async () => {
  const { owners, missing } = await locateContainer(pool([undefined, exact(web), undefined]), "web", PREFIX);
  expect(owners.map(({ node }) => node)).toEqual(["n1"]);
  expect(missing.map(({ node }) => node)).toEqual(["n0", "n2"]);
});

test("peers get the id unchanged", async () => {
  const calls: unknown[] = [];
  const one = poolOf({ peers: [peerOf("n1")], ask: async (_peer, method, params) => calls.push([method, params]) && exact(web) });
  await locateContainer(one, "a b/../?&#%", PREFIX);
  expect(calls).toEqual([["find", { id: "a b/../?&#%", lease: true }]]);
});

const some = fc.array(fc.constantFrom(web, other), { maxLength: 2 });
const anyHolding = fc.option(fc.record({ exact: some, prefix: some }), { nil: undefined });

test("for any holdings and missing nodes, exact matches come first, and a prefix counts only if allowed and unique", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyHolding, { minLength: 1, maxLength: 5 }), fc.boolean(), async (holdings, allowed) => {
      const outcome = await locateContainer(pool(holdings), "web", { prefix: allowed }).catch((error: AppError) => error);
      const [exactMatches, prefixMatches] = (["exact", "prefix"] as const).map((kind) =>
        holdings.flatMap((holding, index) => (holding?.[kind] ?? []).map((found) => ({ node: `n${index}`, found }))),
      ) as [object[], object[]];
      const missing = holdings.flatMap((holding, index) => (holding ? [] : [expect.objectContaining({ node: `n${index}` })]));
      if (exactMatches.length > 0) expect(outcome).toEqual({ owners: exactMatches, missing });
      else if (allowed && prefixMatches.length === 1) expect(outcome).toEqual({ owners: prefixMatches, missing });
      else if (allowed && prefixMatches.length > 1) expect(outcome).toMatchObject({ code: "AMBIGUOUS_ID" });
      else expect(outcome).toMatchObject({ code: missing.length > 0 ? "NODES_MISSING" : "CONTAINER_NOT_FOUND" });
    }),
  );
});

test("what no node has may be on a node that has left, which the message names to clients that may know of it", async () => {
  const stopped = poolOf({ own: async () => NOTHING, left: ["n1", "n2"] });
  const told = "It may be on n1, n2, which left the pool within the hour";
  await expect(locateContainer(stopped, "web", PREFIX)).rejects.toMatchObject({ status: 404, message: `No such container: web. ${told}` });
  await expect(locateVolume(stopped, "data")).rejects.toMatchObject({ status: 404, message: `No such volume: data. ${told}` });
  const confined = poolOfAccess(stopped, accessOf({ nodes: ["n0", "n3"] }));
  await expect(locateContainer(confined, "web", PREFIX)).rejects.toMatchObject({ message: "No such container: web" });
});
