import { setTimeout as sleep } from "node:timers/promises";
import { ContainerCache } from "../../../../lib/cluster/routing/container-cache";
import { AppError } from "../../../../lib/errors";
import { noAnswer, peerOf, poolOf } from "../../../support/unit/cluster-parts";

interface ListAnswer {
  version: string;
  json?: string;
  lease: number;
}

/**
 * The cache of a pool of this node (n0) and two peers.
 * @param lease ms that a peer's list stays valid without a further call
 * @returns lists: what each node lists now, or the error it fails with; calls: the calls to the peers, with the version sent
 */
function threeNodes(lease = 0) {
  const lists: Record<string, string[] | Error> = { n0: ["a"], n2: ["b"], n3: [] };
  const calls: string[] = [];
  const peers = [peerOf("n2"), peerOf("n3")];
  const versionOf = (list: string[]) => `v:${list.join()}`;
  const pool = poolOf({
    peers,
    list: async () => {
      const list = lists.n0 as string[] | Error;
      if (list instanceof Error) throw list;
      return { version: versionOf(list), json: Buffer.from(JSON.stringify(list)), followed: true };
    },
    ask: async ({ name }, _method, params): Promise<ListAnswer> => {
      const { have } = params as { have: string };
      calls.push(`${name} has ${have}`);
      const list = lists[name] as string[] | Error;
      if (list instanceof Error) throw list;
      const version = versionOf(list);
      return version === have ? { version, lease } : { version, lease, json: JSON.stringify(list) };
    },
  });
  return { lists, calls, peers, cache: new ContainerCache(pool) };
}

const read = async (cache: ContainerCache) => {
  const { body, headers } = await cache.read();
  return { items: JSON.parse(String(body)), nodes: headers["X-Cluster-Nodes"], missing: headers["X-Cluster-Missing"] };
};

test("the lists of all nodes are joined, and a change on any node shows in the next read", async () => {
  const { lists, cache } = threeNodes();
  expect(await read(cache)).toEqual({ items: ["a", "b"], nodes: "n0, n2, n3", missing: undefined });
  lists.n3 = ["c", "d"];
  lists.n0 = [];
  expect((await read(cache)).items).toEqual(["b", "c", "d"]);
});

test("a peer without a lease is called for every read, and sends its list only if the version differs", async () => {
  const { lists, calls, cache } = threeNodes();
  await read(cache);
  lists.n2 = ["x"];
  await read(cache);
  expect((await read(cache)).items).toEqual(["a", "x"]);
  expect(calls.filter((each) => each.startsWith("n2"))).toEqual(["n2 has ", "n2 has v:b", "n2 has v:x"]);
});

test("reads requested during a read share the next read", async () => {
  const { lists, calls, cache } = threeNodes();
  const first = read(cache);
  lists.n2 = ["later"];
  const later = Array.from({ length: 20 }, () => read(cache));
  await first;
  for (const { items } of await Promise.all(later)) expect(items).toEqual(["a", "later"]);
  expect(calls).toHaveLength(2 * 2);
});

test("a peer that does not answer is reported as missing and not called again until it is alive", async () => {
  const { lists, calls, peers, cache } = threeNodes();
  await read(cache);
  lists.n2 = noAnswer("n2");
  expect(await read(cache)).toEqual({ items: ["a"], nodes: "n0, n3", missing: "n2" });
  calls.length = 0;
  await read(cache);
  expect(calls.map((each) => each.split(" ")[0])).toEqual(["n3"]);
  lists.n2 = ["b"];
  peers[0]?.markAlive();
  expect((await read(cache)).items).toEqual(["a", "b"]);
});

test("a failing local engine leaves the peers' lists; without any list its error is thrown, and a later read succeeds", async () => {
  const { lists, cache } = threeNodes();
  const down = new AppError("ENGINE_UNREACHABLE");
  lists.n0 = down;
  expect(await read(cache)).toEqual({ items: ["b"], nodes: "n2, n3", missing: "n0" });
  lists.n2 = noAnswer("n2", true);
  lists.n3 = noAnswer("n3", true);
  await expect(cache.read()).rejects.toBe(down);
  lists.n0 = ["a"];
  expect((await read(cache)).items).toEqual(["a"]);
});

const LONG_LEASE_MS = 60_000;

test("a peer with a lease is not called again before the lease ends or the peer reports a change", async () => {
  const { lists, calls, cache } = threeNodes(LONG_LEASE_MS);
  await read(cache);
  await read(cache);
  expect(calls).toEqual(["n2 has ", "n3 has "]);
  lists.n2 = ["changed"];
  cache.invalidate("n2");
  expect(await read(cache)).toEqual({ items: ["a", "changed"], nodes: "n0, n2, n3", missing: undefined });
  expect(calls.slice(2)).toEqual(["n2 has v:b"]);
});

test("a lease counts from the call and expires", async () => {
  const { calls, cache } = threeNodes(10);
  await read(cache);
  await sleep(11);
  await read(cache);
  expect(calls).toHaveLength(2 * 2);
});

test("a change report that overtakes the peer's answer makes the next read call the peer", async () => {
  const { lists, cache } = threeNodes(LONG_LEASE_MS);
  const first = read(cache);
  cache.invalidate("n2");
  await first;
  lists.n2 = ["later"];
  expect((await read(cache)).items).toEqual(["a", "later"]);
});

test("the list of a missing peer is left out even while its lease lasts", async () => {
  const { peers, cache } = threeNodes(LONG_LEASE_MS);
  await read(cache);
  peers[0]?.markMissing("frozen");
  expect(await read(cache)).toEqual({ items: ["a"], nodes: "n0, n3", missing: "n2" });
});
