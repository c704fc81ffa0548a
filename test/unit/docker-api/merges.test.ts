import { MERGES, type MergeContext } from "../../../lib/docker-api/merges";

const context = (query = "", missing: MergeContext["missing"] = []): MergeContext => ({
  query: new URLSearchParams(query),
  missing,
  poolId: "pool",
  apiVersion: 41,
  minVersion: 24,
});
const answers = (...jsons: unknown[]) => jsons.map((json, index) => ({ node: `n${index + 1}`, json }));

test("containers of all nodes come newest first, and limit counts over all", () => {
  const lists = answers(
    [
      { Id: "a", Created: 3 },
      { Id: "b", Created: 1 },
    ],
    [{ Id: "c", Created: 2 }],
  );
  expect(MERGES.containers(lists, context())).toEqual([
    { Id: "a", Created: 3 },
    { Id: "c", Created: 2 },
    { Id: "b", Created: 1 },
  ]);
  expect(MERGES.containers(lists, context("limit=2"))).toHaveLength(2);
});

test("an image on two nodes is listed once, with the names of both", () => {
  const merged = MERGES.images(
    answers(
      [{ Id: "x", RepoTags: ["a:1"], RepoDigests: null, Containers: -1, Created: 1 }],
      [{ Id: "x", RepoTags: ["a:1", "b:1"], RepoDigests: ["a@d"], Containers: -1, Created: 1 }],
    ),
    context(),
  );
  expect(merged).toEqual([{ Id: "x", RepoTags: ["a:1", "b:1"], RepoDigests: ["a@d"], Containers: -1, Created: 1 }]);
});

test("the networks of every engine are listed once, others each", () => {
  const merged = MERGES.networks(
    answers(
      [
        { Name: "bridge", Id: "1" },
        { Name: "own", Id: "2" },
      ],
      [
        { Name: "bridge", Id: "3" },
        { Name: "own", Id: "4" },
        { Name: "swarm", Id: "2" },
      ],
    ),
    context(),
  ) as { Id: string }[];
  expect(merged.map(({ Id }) => Id)).toEqual(["1", "2", "4"]);
});

test("info sums up, and names a missing node", () => {
  const info = { Containers: 1, NCPU: 2, MemTotal: 3, ID: "one", Swarm: {}, Warnings: null };
  expect(MERGES.info(answers(info, info), context("", [{ node: "n3", reason: "no answer" }]))).toMatchObject({
    Containers: 2,
    NCPU: 4,
    MemTotal: 6,
    ID: "pool",
    Swarm: { LocalNodeState: "inactive" },
    Warnings: ["node n3 is unreachable: no answer"],
  });
});

test("prunes and disk usage are concatenated and summed, where a node has nothing too", () => {
  expect(
    MERGES.prune(answers({ ContainersDeleted: null, SpaceReclaimed: 1 }, { ContainersDeleted: ["a"], SpaceReclaimed: 2 }), context()),
  ).toEqual({ ContainersDeleted: ["a"], SpaceReclaimed: 3 });
});
