import { Bidder, type Inventory } from "../../../../lib/cluster/scheduling/bidder";
import { Scheduler } from "../../../../lib/cluster/scheduling/scheduler";
import { AppError } from "../../../../lib/errors";
import { Reply } from "../../../../lib/support/reply";
import { NEEDS, peerOf, poolOf, requestOf } from "../../../support/unit/cluster-parts";
import { type LogEntry, quietLog } from "../../../support/unit/quiet-log";

const ROOMY: Inventory = {
  reservedMemory: 0,
  reservedCpu: 0,
  bindings: [],
  hasImage: false,
  hasVolumes: true,
  totalMemory: 2 ** 30,
  cores: 4,
};
const plan = { name: "web", body: {}, needs: NEEDS };
const bidder = (nodeName: string, inventory: Partial<Inventory> = {}) =>
  new Bidder({
    nodeName,
    inventory: async () => ({ ...ROOMY, ...inventory }),
    load: () => ({ cpu: 0, memory: 0 }),
    slotCount: 2,
  });
const SETTINGS = { queueWaitMs: 0, queueLength: 0, runWaitMs: 1000 };

test("a node that leaves after its bid is skipped: the run goes to the next", async () => {
  const peers = [peerOf("n1")];
  const ask = async () => {
    const bid = await bidder("n1", { hasImage: true }).bid(NEEDS);
    peers.length = 0;
    return bid;
  };
  const scheduler = new Scheduler({ pool: poolOf({ peers, ask }), bidder: bidder("n0"), settings: SETTINGS });
  expect(await scheduler.place(requestOf(), plan)).toMatchObject({ status: 200, body: { done: "here" } });
});

test("PORT_TAKEN if every node declines for the port; NO_NODE if one gives another reason or no answer", async () => {
  const needs = { ...NEEDS, ports: ["80/tcp"] };
  const taken = { bindings: [":80/tcp"] };
  const placed = (ask?: () => Promise<unknown>) => {
    const scheduler = new Scheduler({
      pool: poolOf({ peers: [peerOf("n1")], ...(ask && { ask }) }),
      bidder: bidder("n0", taken),
      settings: SETTINGS,
    });
    return scheduler.place(requestOf(), { ...plan, needs });
  };
  await expect(placed(() => bidder("n1", taken).bid(needs))).rejects.toMatchObject({ code: "PORT_TAKEN", status: 409 });
  await expect(placed()).rejects.toMatchObject({ code: "NO_NODE", status: 503 });
  await expect(placed(() => bidder("n1", { missingRequirement: "compose" }).bid(needs))).rejects.toMatchObject({ code: "NO_NODE" });
  const missing = peerOf("n1");
  missing.markMissing("refused");
  const scheduler = new Scheduler({ pool: poolOf({ peers: [missing] }), bidder: bidder("n0", taken), settings: SETTINGS });
  await expect(scheduler.place(requestOf(), { ...plan, needs })).rejects.toMatchObject({ code: "NO_NODE" });
});

test.each([["volumes"], ["networks"], ["containers"]])("of many nodes all are asked for a run that uses %s by name", async (kind) => {
  const peers = Array.from({ length: 30 }, (_, index) => peerOf(`n${index + 1}`));
  const asked = async (needs: typeof NEEDS) => {
    const names: string[] = [];
    const ask = (peer: { name: string }) => {
      names.push(peer.name);
      return bidder(peer.name).bid(NEEDS);
    };
    await new Scheduler({ pool: poolOf({ peers, ask }), bidder: bidder("n0"), settings: SETTINGS }).rankNodes(requestOf(), {
      ...plan,
      needs,
    });
    return names.length;
  };
  expect(await asked({ ...NEEDS, [kind]: ["data"] })).toBe(30);
  expect(await asked(NEEDS)).toBeLessThan(10);
});

test.each([
  ["a field of the server's answers", { id: "1" }, "warnings"],
  ["the field of the Docker API", { Id: "1", Warnings: null }, "Warnings"],
])("a volume that only a node that can't take the run has, or may have, is warned about in %s", async (_what, body, field) => {
  const peer = peerOf("n1");
  const place = async (volumes: string[], { hasVolumes = false, peerHas = false } = {}) => {
    const ask = () => bidder("n1", { missingRequirement: "it is full", hasVolumes: peerHas }).bid(NEEDS);
    const scheduler = new Scheduler({ pool: poolOf({ peers: [peer], ask }), bidder: bidder("n0", { hasVolumes }), settings: SETTINGS });
    const request = requestOf({ runHere: async () => new Reply(201, body) });
    return (await scheduler.place(request, { ...plan, needs: { ...NEEDS, volumes } })).body;
  };
  const warned = (reason: string) => ({ ...body, [field]: [`a volume of this name (data) is new and empty on n0: ${reason}`] });
  expect(await place(["data"], { peerHas: true })).toEqual(warned("n1 has it, but it is full"));
  expect(await place(["data"])).toEqual(body);
  peer.markMissing("refused");
  expect(await place(["data"])).toEqual(warned("n1 does not answer"));
  expect(await place(["data"], { hasVolumes: true })).toEqual(body);
  expect(await place([])).toEqual(body);
});

test("an accepted run is reserved until it reports its start, or ends", async () => {
  const node = bidder("n0");
  const scheduler = new Scheduler({ pool: poolOf({}), bidder: node, settings: SETTINGS });
  const large = { ...plan, needs: { ...NEEDS, memory: 0.75 * 2 ** 30 } };
  const reserved = async () => (await node.bid(NEEDS)).reservedMemory;
  const runHere = async (_body: unknown, started?: () => void) => {
    expect(await reserved()).toBe(0.75);
    started?.();
    expect(await reserved()).toBe(0);
    return new Reply(200, null);
  };
  await scheduler.runLocally(requestOf({ runHere }), large);
  await expect(scheduler.runLocally(requestOf({ runHere: () => Promise.reject(new AppError("NAME_TAKEN")) }), large)).rejects.toThrow();
  expect(await reserved()).toBe(0);
});

describe("logging", () => {
  const REQUEST = { headers: { "x-request-id": "r1" } };
  const messages = (entries: LogEntry[]) => entries.map(({ message }) => message);

  test("bids, ranking and the chosen node are logged with the request id", async () => {
    const { log, entries } = quietLog();
    const scheduler = new Scheduler({ pool: poolOf({ peers: [peerOf("n1")], log }), bidder: bidder("n0"), settings: SETTINGS });
    await scheduler.place(requestOf(REQUEST), plan);
    expect(entries).toEqual([
      {
        level: "debug",
        message: "Bids received",
        fields: {
          request_id: "r1",
          name: "web",
          bids: [
            { node: "n0", load: 0, declines: undefined },
            { node: "n1", load: 0, declines: "no answer: n1 refused" },
          ],
        },
      },
      { level: "debug", message: "Bids ranked", fields: { request_id: "r1", order: [{ node: "n0", ahead: 0, load: 0 }] } },
      { level: "debug", message: "Node chosen", fields: { request_id: "r1", name: "web", node: "n0" } },
    ]);
  });

  test("a node's refusal is logged with its code", async () => {
    const { log, entries } = quietLog();
    const scheduler = new Scheduler({ pool: poolOf({ log }), bidder: bidder("n0"), settings: SETTINGS });
    const runHere = () => Promise.reject(new AppError("PORT_TAKEN"));
    await expect(scheduler.place(requestOf({ ...REQUEST, runHere }), plan)).rejects.toMatchObject({ code: "PORT_TAKEN" });
    expect(entries.at(-1)).toEqual({
      level: "debug",
      message: "Run refused by node",
      fields: { request_id: "r1", name: "web", node: "n0", code: "PORT_TAKEN" },
    });
  });

  test("a run that waits for room is logged", async () => {
    const { log, entries } = quietLog();
    const full = bidder("n0", { missingRequirement: "compose" });
    const settings = { queueWaitMs: 1, queueLength: 1, runWaitMs: 1000 };
    const scheduler = new Scheduler({ pool: poolOf({ log }), bidder: full, settings });
    await expect(scheduler.place(requestOf(REQUEST), plan)).rejects.toMatchObject({ code: "NO_NODE" });
    expect(messages(entries).slice(0, 3)).toEqual(["Bids received", "Bids ranked", "Run waits for room"]);
    expect(entries[2]?.fields).toEqual({ request_id: "r1", name: "web", waiting: 1 });
  });
});
