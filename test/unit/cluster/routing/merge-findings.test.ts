import { PassThrough, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { mergeFindings } from "../../../../lib/cluster/routing/merge-findings";
import { AppError } from "../../../../lib/errors";
import { parseEvents } from "../../../../lib/support/event-format";
import { streamReply } from "../../../../lib/support/reply";
import { noAnswer, peerOf, poolOf, requestOf } from "../../../support/unit/cluster-parts";

const FORMAT = "application/x-ndjson";
const HEADERS = { "content-type": `${FORMAT}; charset=utf-8` };
const END = {
  event: "result",
  containers: 2,
  bytes_read: 10,
  max_bytes: 100,
  unknown: [] as string[],
  unreadable: [] as string[],
  truncated: null as string | null,
};

const bufferOf = (event: object) => Buffer.from(`${JSON.stringify(event)}\n`);
const lineOf = (node: string, number: number) => ({ node, number });

/** Merges this node's events with those of the peers n1, n2, …; a peer without any can't be reached. */
async function mergeOf(own: object[] | AppError, peers: (object[] | Readable | undefined)[], limit = 100) {
  const names = peers.map((_, index) => peerOf(`n${index + 1}`));
  const send = async ({ name }: { name: string }) => {
    const events = peers[Number(name.slice(1)) - 1];
    if (!events) throw noAnswer(name);
    const body = events instanceof Readable ? events : Readable.from(events.map(bufferOf));
    return Object.assign(body, { statusCode: 200, headers: HEADERS });
  };
  const runHere = async () => {
    if (own instanceof AppError) throw own;
    return streamReply(FORMAT, Readable.from(own.map(bufferOf)));
  };
  return mergeFindings(poolOf({ peers: names, ask: async () => ({}), send }), requestOf({ runHere, query: { limit } }), 1000);
}

async function eventsOf(...given: Parameters<typeof mergeOf>) {
  const lines = (await text((await mergeOf(...given)).body as AsyncIterable<Buffer>)).trimEnd().split("\n");
  const events = lines.map((line) => JSON.parse(line));
  return { found: events.slice(0, -1), result: events.at(-1) };
}

test("the findings of all nodes are joined, each node's in its order, and the result has the sums", async () => {
  const { found, result } = await eventsOf([lineOf("n0", 1), lineOf("n0", 2), END], [[lineOf("n1", 1), lineOf("n1", 2), END]]);
  for (const node of ["n0", "n1"]) expect(found.filter((each) => each.node === node).map(({ number }) => number)).toEqual([1, 2]);
  const { event, ...end } = END;
  expect(result).toEqual({ event, ...end, lines: 4, complete: true, nodes: ["n0", "n1"], missing: [], containers: 4, bytes_read: 20 });
});

test("a node that can't be reached, breaks off or fails is named with the reason, and what the others find comes", async () => {
  const failed = { event: "error", error: "unavailable", code: "ENGINE_UNREACHABLE", message: "no engine" };
  const { found, result } = await eventsOf([lineOf("n0", 1), END], [undefined, [lineOf("n2", 1)], [failed]]);
  expect(found).toHaveLength(2);
  expect(result).toMatchObject({ complete: false, nodes: ["n0"] });
  expect(result.missing.map(({ node }: { node: string }) => node).sort()).toEqual(["n1", "n2", "n3"]);
  for (const { reason } of result.missing) expect(reason).toMatch(/./);
  expect(result.missing).toContainEqual({ node: "n3", reason: "no engine" });
});

test("if no node answers, this node's error is thrown", async () => {
  await expect(mergeOf(new AppError("ENGINE_ERROR"), [undefined])).rejects.toMatchObject({ code: "ENGINE_ERROR" });
});

test("what a node finds comes while another still searches", async () => {
  const slow = new PassThrough();
  const reply = await mergeOf([lineOf("n0", 1), END], [slow]);
  const events = parseEvents(FORMAT, reply.body as AsyncIterable<Buffer>);
  expect((await events.next()).value?.data).toEqual(lineOf("n0", 1));
  slow.write(bufferOf(lineOf("n1", 1)));
  expect((await events.next()).value?.data).toEqual(lineOf("n1", 1));
  slow.end(bufferOf(END));
  expect((await events.next()).value).toMatchObject({ event: "result", data: { lines: 2, complete: true } });
});

test("at the limit the findings end, of every node some have come, and the search is called truncated", async () => {
  const many = (node: string) => [...Array.from({ length: 50 }, (_, number) => lineOf(node, number)), END];
  const { found, result } = await eventsOf(many("n0"), [many("n1")], 10);
  expect(new Set(found.map(({ node }) => node))).toEqual(new Set(["n0", "n1"]));
  expect([found.length, result.lines, result.truncated, result.complete]).toEqual([10, 10, "limit", false]);
  expect((await eventsOf(many("n0"), [[END]], 50)).result).toMatchObject({ lines: 50, truncated: null, complete: true });
});

test("a bound that ended one node's search, or a log that can't be read, makes the result incomplete", async () => {
  expect((await eventsOf([END], [[{ ...END, truncated: "bytes" }]])).result).toMatchObject({ truncated: "bytes", complete: false });
  expect((await eventsOf([END], [[{ ...END, unreadable: ["x"] }]])).result).toMatchObject({ unreadable: ["x"], complete: false });
});

test("the nodes' warnings of a search that found nothing are told, unless another node found something", async () => {
  const end = { ...END, warnings: ["plain text"] };
  expect((await eventsOf([end], [[end]])).result.warnings).toEqual(["plain text"]);
  expect((await eventsOf([end], [[lineOf("n1", 1), END]])).result).not.toHaveProperty("warnings");
});

test("a name is unknown if no node that answers knows it, and a node that has not ended may know it", async () => {
  const unknown = async (...given: Parameters<typeof mergeOf>) => (await eventsOf(...given)).result.unknown;
  const lacking = (...names: string[]) => ({ ...END, unknown: names });
  expect(await unknown([lacking("web", "nope")], [[lacking("nope", "db")], undefined])).toEqual(["nope"]);
  expect(await unknown([lacking("nope")], [[lacking()]])).toEqual([]);
  const { unknown: _, ...ofEarlierVersion } = END;
  expect(await unknown([lacking("nope")], [[ofEarlierVersion]])).toEqual([]);
  const slow = new PassThrough();
  slow.write(bufferOf(lineOf("n1", 1)));
  slow.write(bufferOf(lineOf("n1", 2)));
  expect(await unknown([lacking("web")], [slow], 1)).toEqual([]);
});
