import { setTimeout as sleep } from "node:timers/promises";
import { ContainerCache } from "../../../../lib/cluster/routing/container-cache";
import { AppError } from "../../../../lib/errors";
import { noAnswer, peerOf, poolOf } from "../../../support/unit/cluster-parts";

interface Told {
  version: string;
  json?: string;
  lease: number;
}

/**
 * A pool of this node and two more; `lists` is what each holds now, `asked` what was asked of the two.
 * @param lease ms for which each promises to tell of changes
 */
function threeNodes(lease = 0) {
  const lists: Record<string, string[] | Error> = { n0: ["a"], n2: ["b"], n3: [] };
  const asked: string[] = [];
  const peers = [peerOf("n2"), peerOf("n3")];
  const versionOf = (list: string[]) => `v:${list.join()}`;
  const pool = poolOf({
    peers,
    list: async () => {
      const list = lists.n0 as string[] | Error;
      if (list instanceof Error) throw list;
      return { version: versionOf(list), json: Buffer.from(JSON.stringify(list)), followed: true };
    },
    ask: async ({ name }, _question, body): Promise<Told> => {
      const { have } = body as { have: string };
      asked.push(`${name} has ${have}`);
      const list = lists[name] as string[] | Error;
      if (list instanceof Error) throw list;
      const version = versionOf(list);
      return version === have ? { version, lease } : { version, lease, json: JSON.stringify(list) };
    },
  });
  return { lists, asked, peers, poolList: new ContainerCache(pool) };
}

const read = async (list: ContainerCache) => {
  const { body, headers } = await list.read();
  return { items: JSON.parse(String(body)), nodes: headers["X-Cluster-Nodes"], missing: headers["X-Cluster-Missing"] };
};

test("the lists of all nodes come as one, and a change anywhere shows in the next", async () => {
  const { lists, poolList } = threeNodes();
  expect(await read(poolList)).toEqual({ items: ["a", "b"], nodes: "n0, n2, n3", missing: undefined });
  lists.n3 = ["c", "d"];
  lists.n0 = [];
  expect((await read(poolList)).items).toEqual(["b", "c", "d"]);
});

test("a node that promises nothing is asked each time, and tells its list only if it is another one", async () => {
  const { lists, asked, poolList } = threeNodes();
  await read(poolList);
  lists.n2 = ["x"];
  await read(poolList);
  expect((await read(poolList)).items).toEqual(["a", "x"]);
  expect(asked.filter((each) => each.startsWith("n2"))).toEqual(["n2 has ", "n2 has v:b", "n2 has v:x"]);
});

test("readings that are asked for while one is under way share the next one, which is of later", async () => {
  const { lists, asked, poolList } = threeNodes();
  const first = read(poolList);
  lists.n2 = ["later"];
  const later = Array.from({ length: 20 }, () => read(poolList));
  await first;
  for (const { items } of await Promise.all(later)) expect(items).toEqual(["a", "later"]);
  expect(asked).toHaveLength(2 * 2);
});

test("who gives no answer is named and not waited for again, and counts again when it answers", async () => {
  const { lists, asked, peers, poolList } = threeNodes();
  await read(poolList);
  lists.n2 = noAnswer("n2");
  expect(await read(poolList)).toEqual({ items: ["a"], nodes: "n0, n3", missing: "n2" });
  asked.length = 0;
  await read(poolList);
  expect(asked.map((each) => each.split(" ")[0])).toEqual(["n3"]);
  lists.n2 = ["b"];
  peers[0]?.markAlive();
  expect((await read(poolList)).items).toEqual(["a", "b"]);
});

test("an engine that is down here leaves the others' lists; if nobody has one, the reason is the answer, and not for ever", async () => {
  const { lists, poolList } = threeNodes();
  const down = new AppError("ENGINE_UNREACHABLE");
  lists.n0 = down;
  expect(await read(poolList)).toEqual({ items: ["b"], nodes: "n2, n3", missing: "n0" });
  lists.n2 = noAnswer("n2", true);
  lists.n3 = noAnswer("n3", true);
  await expect(poolList.read()).rejects.toBe(down);
  lists.n0 = ["a"];
  expect((await read(poolList)).items).toEqual(["a"]);
});

const LONG = 60_000;

test("a node that promises to tell of changes is not asked again while that lasts, until it tells of one", async () => {
  const { lists, asked, poolList } = threeNodes(LONG);
  await read(poolList);
  await read(poolList);
  expect(asked).toEqual(["n2 has ", "n3 has "]);
  lists.n2 = ["changed"];
  poolList.invalidate("n2");
  expect(await read(poolList)).toEqual({ items: ["a", "changed"], nodes: "n0, n2, n3", missing: undefined });
  expect(asked.slice(2)).toEqual(["n2 has v:b"]);
});

test("its promise counts from when it was asked, and ends by itself", async () => {
  const { asked, poolList } = threeNodes(10);
  await read(poolList);
  await sleep(11);
  await read(poolList);
  expect(asked).toHaveLength(2 * 2);
});

test("of a change that is told before the answer it has overtaken, the next reading knows", async () => {
  const { lists, poolList } = threeNodes(LONG);
  const first = read(poolList);
  poolList.invalidate("n2");
  await first;
  lists.n2 = ["later"];
  expect((await read(poolList)).items).toEqual(["a", "later"]);
});

test("a node that is found missing is not answered for, whatever it has promised", async () => {
  const { peers, poolList } = threeNodes(LONG);
  await read(poolList);
  peers[0]?.markMissing("frozen");
  expect(await read(poolList)).toEqual({ items: ["a"], nodes: "n0, n3", missing: "n2" });
});
