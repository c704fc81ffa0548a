import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import fc from "fast-check";
import { mergeTimelines } from "../../../../lib/cluster/routing/merge-timelines";
import { AppError } from "../../../../lib/errors";
import { type Reply, streamReply } from "../../../../lib/support/reply";
import { noAnswer, peerOf, poolOf, requestOf } from "../../../support/unit/cluster-parts";

const BEHAVIOURS = ["answers", "breaks off", "refuses", "is unreachable"] as const;
interface Node {
  behaviour: (typeof BEHAVIOURS)[number];
  times: number[];
  damaged: number;
}

const HEADERS = { "content-type": "application/x-ndjson; charset=utf-8" };

function linesOf(name: string, { behaviour, times, damaged }: Node): string[] {
  const lines = times.map((time, number) => JSON.stringify({ timestamp: new Date(time).toISOString(), node: name, number }));
  if (behaviour === "answers") lines.push(JSON.stringify({ event: "result", entries: times.length, damaged_lines: damaged }));
  return lines.map((line) => `${line}\n`);
}

const bodyOf = (name: string, node: Node) => Readable.from(linesOf(name, node).map((line) => Buffer.from(line)));

async function merge(nodes: Node[], query: object = {}) {
  const [own, ...others] = nodes as [Node, ...Node[]];
  const send = async ({ name }: { name: string }) => {
    const node = others[Number(name.slice(1)) - 1] as Node;
    if (node.behaviour === "is unreachable") throw noAnswer(name);
    if (node.behaviour === "refuses") return Object.assign(Readable.from([Buffer.from("{}")]), { statusCode: 404, headers: {} });
    return Object.assign(bodyOf(name, node), { statusCode: 200, headers: HEADERS });
  };
  const runHere = async () => {
    if (own.behaviour === "refuses" || own.behaviour === "is unreachable") throw new AppError("ENGINE_ERROR");
    return streamReply("application/x-ndjson", bodyOf("n0", own));
  };
  const peers = others.map((_, index) => peerOf(`n${index + 1}`));
  const reply = await mergeTimelines(poolOf({ peers, ask: async () => ({}), send }), requestOf({ runHere, query }), 1000);
  const lines = (await text(reply.body as AsyncIterable<Buffer>)).trimEnd().split("\n");
  const events = lines.map((line) => JSON.parse(line));
  return { entries: events.slice(0, -1), result: events.at(-1), headers: reply.headers };
}

const node = fc.record({
  behaviour: fc.constantFrom(...BEHAVIOURS),
  times: fc.array(fc.nat(50), { maxLength: 8 }).map((times) => times.sort((a, b) => a - b)),
  damaged: fc.nat(3),
});

test("all entries of all nodes come in the order of time, and the last line names every node whose entries are not all there", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(node, { minLength: 1, maxLength: 4 }), async (nodes) => {
      const streaming = nodes.filter(({ behaviour }) => behaviour === "answers" || behaviour === "breaks off");
      if (streaming.length === 0) return expect(merge(nodes)).rejects.toBeInstanceOf(AppError);
      const { entries, result, headers } = await merge(nodes);
      const times = entries.map(({ timestamp }) => Date.parse(timestamp));
      expect(times).toEqual([...times].sort((a, b) => a - b));
      const missing = nodes.flatMap(({ behaviour }, index) => (behaviour === "answers" ? [] : [`n${index}`]));
      nodes.forEach((each, index) => {
        const own = entries.filter((entry) => entry.node === `n${index}`).map((entry) => entry.number);
        expect(own).toEqual(streaming.includes(each) ? each.times.map((_, number) => number) : []);
      });
      const complete = nodes.filter(({ behaviour }) => behaviour === "answers");
      expect({ ...result, missing: [...result.missing].sort() }).toEqual({
        event: "result",
        entries: entries.length,
        damaged_lines: complete.reduce((sum, { damaged }) => sum + damaged, 0),
        complete: missing.length === 0,
        missing,
      });
      const unreachable = nodes.flatMap((each, index) => (streaming.includes(each) ? [] : [`n${index}`]));
      expect(headers["X-Cluster-Missing"]?.split(", ").sort() ?? []).toEqual(unreachable);
    }),
  );
});

test("with a limit the oldest entries of all nodes come, and no more is read of any node", async () => {
  let isClosed = false;
  const endless = (async function* () {
    try {
      for (let time = 1; ; time += 2) yield Buffer.from(`${JSON.stringify({ timestamp: new Date(time).toISOString() })}\n`);
    } finally {
      isClosed = true;
    }
  })();
  const own = { behaviour: "answers", times: [0, 2, 4, 6], damaged: 0 } as const;
  const send = async () => Object.assign(Readable.from(endless), { statusCode: 200, headers: HEADERS });
  const runHere = async () => streamReply("application/x-ndjson", bodyOf("n0", { ...own, times: [...own.times] }));
  const pool = poolOf({ peers: [peerOf("n1")], ask: async () => ({}), send });
  const reply: Reply = await mergeTimelines(pool, requestOf({ runHere, query: { limit: 5 } }), 1000);
  const lines = (await text(reply.body as AsyncIterable<Buffer>)).trimEnd().split("\n");
  const events = lines.map((line) => JSON.parse(line));
  expect(events.map(({ timestamp, event }) => event ?? Date.parse(timestamp))).toEqual([0, 1, 2, 3, 4, "result"]);
  await new Promise((resolve) => setImmediate(resolve));
  expect(isClosed).toBe(true);
});
