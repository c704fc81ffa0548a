import fc from "fast-check";
import type { ContainerSummary } from "../../../lib/docker/containers/container-list";
import { type ContainerPage, mergePages, pageQuery, toPage } from "../../../lib/routes/schemas/container-pages";

/** A container created in the given second. */
function container(id: number, second: number, host: string): ContainerSummary {
  return {
    id: id.toString(16).padStart(64, "0"),
    name: `c${id}`,
    image: "busybox",
    command: "",
    created: new Date(second * 1000).toISOString(),
    state: "running",
    status: "",
    ports: [],
    labels: { "dockapi.managed": "true" },
    host,
  };
}

/** Reads the names of all containers page by page; `between` runs before each page and may change the nodes. */
function walk(nodes: ContainerSummary[][], limit: number, between: (page: number) => void): string[] {
  const seen: string[] = [];
  let cursor: string | null | undefined;
  for (let page = 0; cursor !== null; page += 1) {
    between(page);
    const query = pageQuery.parse({ limit, ...(cursor === undefined ? {} : { cursor }) });
    const joined = mergePages(
      nodes.map((each) => toPage(each, query)),
      query,
    ) as ContainerPage;
    expect(joined.containers.length).toBeLessThanOrEqual(limit);
    seen.push(...joined.containers.map(({ name }) => name));
    cursor = joined.next_cursor;
  }
  return seen;
}

describe("mergePages", () => {
  test("paging over several nodes returns every lasting container exactly once while others are created and removed", () => {
    const second = fc.integer({ min: 0, max: 3 });
    const staying = fc.array(fc.record({ second, node: fc.nat(2) }), { maxLength: 20 });
    const changes = fc.array(fc.record({ second, node: fc.nat(2), page: fc.nat(5), removed: fc.boolean() }), { maxLength: 10 });
    fc.assert(
      fc.property(staying, changes, fc.integer({ min: 1, max: 5 }), (stay, others, limit) => {
        const nodes: ContainerSummary[][] = [[], [], []];
        stay.forEach(({ second: at, node }, index) => {
          nodes[node]?.push(container(index, at, `n${node}`));
        });
        const changing = others.map((each, index) => ({ ...each, container: container(1000 + index, each.second, `n${each.node}`) }));
        for (const { removed, node, container: one } of changing) if (removed) nodes[node]?.push(one);
        const seen = walk(nodes, limit, (page) => {
          for (const { removed, node, container: one } of changing.filter((each) => each.page === page)) {
            const all = nodes[node] as ContainerSummary[];
            if (removed) all.splice(all.indexOf(one), 1);
            else all.push(one);
          }
        });
        expect(new Set(seen).size).toBe(seen.length);
        const stayed = stay.map((_, index) => `c${index}`);
        expect(seen.filter((name) => stayed.includes(name)).sort()).toEqual(stayed.sort());
      }),
    );
  });

  test("without changes the pages form the whole list, newest first", () => {
    const nodes = [
      [container(1, 5, "a"), container(2, 9, "a")],
      [container(3, 7, "b"), container(4, 5, "b")],
    ];
    expect(walk(nodes, 1, () => {})).toEqual(["c2", "c3", "c4", "c1"]);
  });
});

describe("the filter image", () => {
  test.each([
    ["busybox", "busybox"],
    ["busybox:latest", "busybox"],
    ["busybox", "docker.io/library/busybox:latest"],
    ["docker.io/busybox:latest", "busybox"],
    ["team/app:2", "docker.io/team/app:2"],
    [`app@sha256:${"a".repeat(64)}`, `app@sha256:${"a".repeat(64)}`],
    ["sha256:0123", "sha256:0123"],
  ])("%s finds a container of %s, whichever form the engine lists", (image, listed) => {
    expect(toPage([{ ...container(1, 0, "n1"), image: listed }], pageQuery.parse({ image })).containers).toHaveLength(1);
  });

  test.each([
    ["busybox:1", "busybox"],
    ["busybox", "host:5000/busybox:latest"],
    ["busybox", "team/busybox"],
    [`app@sha256:${"a".repeat(64)}`, "app"],
  ])("%s doesn't find a container of %s", (image, listed) => {
    expect(toPage([{ ...container(1, 0, "n1"), image: listed }], pageQuery.parse({ image })).containers).toEqual([]);
  });
});

describe("an empty page", () => {
  const foreign = (id: number, host: string) => ({ ...container(id, 0, host), labels: {} });
  const pageOf = (nodes: ContainerSummary[][], asked: object) => {
    const query = pageQuery.parse(asked);
    return mergePages(
      nodes.map((each) => toPage(each, query)),
      query,
    );
  };

  test("tells how many containers of all nodes `all` would list with the same filters", () => {
    const nodes = [[foreign(1, "n1")], [foreign(2, "n2"), foreign(3, "n2")], []];
    expect(pageOf(nodes, {})).toEqual({ containers: [], next_cursor: null, not_managed: 3 });
    expect(pageOf(nodes, { name: "c2" })).toEqual({ containers: [], next_cursor: null, not_managed: 1 });
    expect(pageOf(nodes, { name: "other" })).toEqual({ containers: [], next_cursor: null });
  });

  test("is not there if a node has a managed one", () => {
    expect(pageOf([[foreign(1, "n1")], [container(2, 0, "n2")]], {})).not.toHaveProperty("not_managed");
  });
});
