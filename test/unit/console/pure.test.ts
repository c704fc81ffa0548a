import fc from "fast-check";
import {
  filterContainers,
  filterNodes,
  formatBytes,
  formatPorts,
  groupByProject,
  healthOf,
  inspectText,
  mayExplain,
  placementRows,
  prepareFilter,
  sandboxOf,
} from "../../../lib/console/public/format";
import { ansiSpans, levelOf, splitTime } from "../../../lib/console/public/log-text";
import { rowsToDraw } from "../../../lib/console/public/row-window";
import { curlLine, dockerLine, EMPTY_FIELDS, runBody } from "../../../lib/console/public/run-form";
import { splitShellWords } from "../../../lib/support/shell-words";

test("a long list is made ready for a filter in parts, between which other work gets its turn", async () => {
  let reads = 0;
  const containers = Array.from({ length: 3000 }, (_, index) => ({
    ...container(`c${index}`),
    get image() {
      reads += 1;
      return "busybox";
    },
  }));
  let turns = 0;
  const timer = setInterval(() => {
    turns += 1;
  });
  await prepareFilter(containers);
  clearInterval(timer);
  expect(turns).toBeGreaterThan(0);
  reads = 0;
  expect(filterContainers(containers, "C1 busybox")).toHaveLength(1111);
  expect(reads).toBe(0);
});

test("how code was run is read from the header that tells it, and is empty without one", () => {
  expect(sandboxOf("warm;time=30;output=1000;memory=500000000;cpus=0.5;pids=64;network=?0")).toEqual({
    start: "warm",
    time: "30",
    output: "1.0 kB",
    memory: "500 MB",
    cpus: "0.5",
    pids: "64",
    network: "?0",
  });
  expect(sandboxOf("")).toEqual({ start: "" });
});

const container = (name: string, project?: string) => ({
  id: name.repeat(12),
  name,
  image: "busybox",
  command: "sh",
  created: "2026-01-31T12:00:00.000Z",
  state: "running",
  status: "Up 3 minutes (healthy)",
  ports: [],
  labels: project === undefined ? {} : { "com.docker.compose.project": project },
  host: "node-1",
});

describe("the list of containers", () => {
  test("a filter wants each of its words, in any case", () => {
    const all = [container("web"), container("shop-db", "shop")];
    const named = (filter: string) => filterContainers(all, filter).map(({ name }) => name);
    expect(named(" BUSY  node-1 ")).toEqual(["web", "shop-db"]);
    expect(named("busy node-2")).toEqual([]);
    expect(named("project=shop")).toEqual(["shop-db"]);
    const node = { reachable: false, engine: "ok", version: "2.0.0", docker: "28.5.2" };
    const nodes = [
      { name: "n1", ...node },
      { name: "n2", ...node, reason: "No answer" },
    ];
    expect(filterNodes(nodes, "answer 28.").map(({ name }) => name)).toEqual(["n2"]);
  });

  test("containers without a project come last", () => {
    const groups = groupByProject([container("a"), container("b", "shop"), container("c", "blog")]);
    expect(groups.map(([project]) => project)).toEqual(["blog", "shop", ""]);
  });

  test("health, ports and sizes are texts for people", () => {
    expect(["Up (healthy)", "Up (health: starting)", "Up", "Exited (1)"].map(healthOf)).toEqual(["healthy", "starting", "", ""]);
    const bound = { host: 80, container: 8080, protocol: "tcp" };
    const ports = [
      { host_ip: "::", ...bound },
      { host_ip: "0.0.0.0", ...bound },
      { container: 53, protocol: "udp" },
    ];
    expect(formatPorts(ports)).toBe("80→8080/tcp, 53/udp");
    expect([0, 999, 1000, 99_960, 1_500_000].map(formatBytes)).toEqual(["0 B", "999 B", "1.0 kB", "100 kB", "1.5 MB"]);
  });

  test("values of variables are hidden, their names are not", () => {
    const text = inspectText({ name: "web", env: { PASSWORD: "s3cret" } }, "•");
    expect(JSON.parse(text)).toEqual({ name: "web", env: { PASSWORD: "•" } });
    expect(inspectText({ env: { PASSWORD: "s3cret" } }, undefined)).toContain("s3cret");
  });
});

describe("rows of a long table", () => {
  test("those in view are drawn, each once and in order, and the one that has the focus; never more than the view and a few", () => {
    const number = (max: number) => fc.integer({ min: 0, max });
    fc.assert(
      fc.property(number(50_000), number(50_000), number(60), fc.integer({ min: -1, max: 50_000 }), (total, first, count, focused) => {
        const drawn = rowsToDraw({ first, count, total, focused });
        expect(drawn).toEqual([...new Set(drawn)].sort((a, b) => a - b));
        const top = Math.max(0, Math.min(first, total - count));
        const seen = Array.from({ length: Math.min(count, total - top) }, (_, offset) => top + offset);
        const wanted = focused >= 0 && focused < total ? [...seen, focused] : seen;
        expect(wanted.filter((index) => !drawn.includes(index))).toEqual([]);
        expect(drawn.every((index) => index >= 0 && index < total)).toBe(true);
        expect(drawn.length).toBeLessThanOrEqual(count + 17);
      }),
    );
  });
});

describe("a placement", () => {
  const bid = (node: string) => {
    return { node, cpu: 0, memory: 0, reservedCpu: 0, reservedMemory: 0, recent: 0, hasImage: true, hasVolumes: true };
  };

  test("shows its bids in their order, and those that declined last", () => {
    const bids = [{ ...bid("n1"), declines: "full" }, bid("n2"), bid("n3")];
    const order = [
      { node: "n3", ahead: 0, load: 0.1 },
      { node: "n2", ahead: 1, load: 0.05 },
    ];
    const rows = placementRows({ chosen: "n3", order, bids });
    expect(rows.map(({ bid: { node }, load }) => [node, load])).toEqual([
      ["n3", 0.1],
      ["n2", 0.05],
      ["n1", undefined],
    ]);
  });

  test("is asked for only by a token that may know all nodes and isn't confined to labels", () => {
    expect(mayExplain({ can: ["nodes"] })).toBe(true);
    expect(mayExplain({ can: ["containers"] })).toBe(false);
    expect(mayExplain({ can: ["nodes"], caveats: [{}, { labels: { team: "a" } }] })).toBe(false);
  });
});

describe("lines of a log", () => {
  test("colours become classes, other control sequences vanish, all other text stays", () => {
    expect(ansiSpans("a\x1b[1;31mred\x1b[0m\x1b[2K<b>\x07")).toEqual([
      { text: "a", style: "" },
      { text: "red", style: "ansi-red ansi-bold" },
      { text: "<b>", style: "" },
    ]);
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        fc.pre(!/[\x00-\x1f\x7f]/.test(text));
        expect(ansiSpans(text).map((span) => span.text)).toEqual(text === "" ? [] : [text]);
      }),
    );
  });

  test("the time before a line is separated from it", () => {
    expect(splitTime("2026-01-31T12:00:00.123456789Z a b")).toEqual({ time: "2026-01-31T12:00:00.123456789Z", text: "a b" });
    expect(splitTime("2026 a")).toEqual({ time: "", text: "2026 a" });
  });

  test("a line has the level that it names", () => {
    expect(["ERROR x", '{"level":"warn"}', "[debug] y", "terror", "ok"].map(levelOf)).toEqual(["error", "warn", "debug", "", ""]);
  });
});

describe("the form of a run", () => {
  test("empty fields are left out of its body", () => {
    const fields = { ...EMPTY_FIELDS, image: "redis", env: "A=b\n\nC=d=e", labels: "x=y=z\nflag" };
    expect(runBody(fields)).toEqual({ image: "redis", env: ["A=b", "C=d=e"], labels: { x: "y=z", flag: "" }, detach: true });
  });

  test("its lines keep every value one word, whatever is in it", () => {
    const line = (value: string) => {
      const fields = { ...EMPTY_FIELDS, image: "redis", env: value };
      return { curl: splitShellWords(curlLine("PUT", "http://localhost/", runBody(fields))), docker: splitShellWords(dockerLine(fields)) };
    };
    fc.assert(
      fc.property(fc.string(), (text) => {
        const value = `A=${text.replace(/[\n\r\0]/g, "")}`.trim();
        const { curl, docker } = line(value);
        expect(JSON.parse(curl.at(-1) ?? "").env).toEqual([value]);
        expect(docker).toEqual(["docker", "run", "--detach", "--env", value, "redis"]);
      }),
    );
  });
});
