import { MERGES, type MergeContext } from "../../../lib/docker-api/merges";
import { MissingLists } from "../../../lib/docker-api/missing-lists";

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

describe("MissingLists", () => {
  const missing = [{ node: "n2", reason: "no answer" }];
  const web = { Id: "a", Names: ["/web"], Labels: { app: "x" }, State: "running", Status: "Up" };
  const unknown = { ...web, Status: "Unknown (node n2 unreachable)" };
  const lists = new MissingLists();
  lists.remember("n2", "", [web], new URLSearchParams("all=1"));
  const entries = (query: string, accessKey = "") => lists.entries(missing, accessKey, new URLSearchParams(query));

  test("what a node had is listed as unknown, filtered by label and name", () => {
    expect(entries("all=1")).toEqual([unknown]);
    expect(entries(`filters=${JSON.stringify({ label: ["app=x"] })}`)).toEqual([unknown]);
    expect(entries(`filters=${JSON.stringify({ label: { "app=y": true } })}`)).toEqual([]);
    expect(entries(`filters=${JSON.stringify({ name: ["we"] })}`)).toEqual([unknown]);
  });

  test("a node that was only asked for what runs is not taken for an empty one, and the younger list counts", () => {
    const own = new MissingLists();
    const list = (query: string) => own.entries(missing, "", new URLSearchParams(query)).map(({ Id }) => Id);
    own.remember("n2", "", [web], new URLSearchParams());
    expect([list(""), list("all=1")]).toEqual([["a"], ["a"]]);
    own.remember("n2", "", [web, { ...web, Id: "b", State: "exited" }], new URLSearchParams("all=1"));
    own.remember("n2", "", [{ ...web, Id: "c" }], new URLSearchParams());
    expect([list(""), list("all=1")]).toEqual([["c"], ["c", "a", "b"]]);
    own.remember("n2", "", [], new URLSearchParams("limit=1"));
    own.remember("n2", "", [], new URLSearchParams({ filters: '{"name":["x"]}' }));
    expect(list("")).toEqual(["c"]);
    own.remember("n2", "", [{ ...web, Id: "d", State: "paused" }], new URLSearchParams());
    expect(list("")).toEqual(["d"]);
  });

  test("of a node that was only asked for what runs, a filtered list of all is refused: what doesn't run is not absent", () => {
    const own = new MissingLists();
    own.remember("n2", "", [web], new URLSearchParams());
    const byLabel = { filters: '{"label":["app=x"]}' };
    expect(own.entries(missing, "", new URLSearchParams(byLabel))).toEqual([unknown]);
    expect(() => own.entries(missing, "", new URLSearchParams({ ...byLabel, all: "1" }))).toThrow("node n2 is unreachable");
  });

  test("a filtered list that can't be known is refused, an unfiltered one is without the node", () => {
    expect(() => entries(`filters=${JSON.stringify({ status: ["exited"] })}`)).toThrow("node n2 is unreachable");
    expect(() => entries(`filters=${JSON.stringify({ label: ["app"] })}`, "other")).toThrow("node n2 is unreachable");
    expect(entries("all=1", "other")).toEqual([]);
  });
});
