import fc from "fast-check";
import { BuiltImages } from "../../../lib/docker-api/built-images";
import type { DockerCall } from "../../../lib/docker-api/call";
import type { Nodes } from "../../../lib/docker-api/nodes";

/** The nodes n1, n2 and n3, in this order of their bids, with these images. */
function startBuilds(images: Record<string, string[]>, ranked = ["n1", "n2", "n3"]) {
  const nodes = {
    poolFor: () => ({}),
    async askAll({ query }: { query: URLSearchParams }) {
      const { reference } = JSON.parse(query.get("filters") as string) as { reference: string[] };
      const matches = (image: string) =>
        reference.some((each) => (each.endsWith("*") ? image.startsWith(each.slice(0, -1)) : image === each));
      const answers = Object.entries(images).map(([node, names]) => ({
        node,
        value: { status: 200, headers: {}, body: Buffer.from(JSON.stringify(names.filter(matches))) },
      }));
      return { answers, missing: [] };
    },
  };
  const built = new BuiltImages(nodes as unknown as Nodes, async () => ranked);
  const call = { access: {} } as DockerCall;
  const rank = (...tags: string[]) =>
    built.rankForBuild({ ...call, query: new URLSearchParams(tags.map((tag): [string, string] => ["t", tag])) });
  return { rank, nodesOf: (project: string | undefined) => built.nodesOf(project, call) };
}

test("a build goes to a node with its image, else to one with images of its project, else to the best", async () => {
  const { rank } = startBuilds({ n1: [], n2: ["my-app-web"], n3: ["my-app-db"] });
  expect(await rank("my-app-db")).toEqual(["n3", "n2", "n1"]);
  expect(await rank("my-app-queue:2")).toEqual(["n2", "n3", "n1"]);
  expect(await rank("other")).toEqual(["n1", "n2", "n3"]);
  expect(await rank()).toEqual(["n1", "n2", "n3"]);
});

test("a project goes to the nodes with its images that take work, to any if there are none", async () => {
  const { nodesOf } = startBuilds({ n1: ["app-web"], n2: ["app-db", "idle-web"], n3: ["application"] }, ["n3", "n1"]);
  expect(await nodesOf("app")).toEqual(["n1"]);
  expect(await nodesOf("idle")).toBeUndefined();
  expect(await nodesOf(undefined)).toBeUndefined();
});

test("whatever images there are, a build may go to every node that takes work, and to no other", async () => {
  const name = fc.constantFrom("a", "a-b", "a-b-c", "b-a", "c");
  const images = fc.record({ n1: fc.array(name), n2: fc.array(name), n3: fc.array(name) });
  const ranked = fc.shuffledSubarray(["n1", "n2", "n3"]);
  await fc.assert(
    fc.asyncProperty(images, ranked, fc.array(name), async (held, order, tags) => {
      expect([...(await startBuilds(held, order).rank(...tags))].sort()).toEqual([...order].sort());
    }),
  );
});
