import { Bidder, type Inventory } from "../../../../lib/cluster/scheduling/bidder";
import { Scheduler } from "../../../../lib/cluster/scheduling/scheduler";
import { AppError } from "../../../../lib/errors";
import { Reply } from "../../../../lib/support/reply";
import { exchangeOf, NEEDS, peerOf, poolOf } from "../../../support/unit/cluster-parts";

const ROOMY: Inventory = {
  reservedMemory: 0,
  reservedCpu: 0,
  ports: new Set(),
  hasImage: false,
  hasVolumes: true,
  totalMemory: 2 ** 30,
  cores: 4,
};
const plan = { name: "web", body: {}, needs: NEEDS };
const bidder = (name: string, inventory: Partial<Inventory> = {}) =>
  new Bidder(
    name,
    async () => ({ ...ROOMY, ...inventory }),
    () => ({ cpu: 0, memory: 0 }),
    2,
  );

test("a node that leaves after its bid is passed over: the run goes to the next", async () => {
  const peers = [peerOf("n1")];
  const ask = async () => {
    const bid = await bidder("n1", { hasImage: true }).bid(NEEDS);
    peers.length = 0;
    return bid;
  };
  const placer = new Scheduler(poolOf({ peers, ask }), bidder("n0"), { queueWait: 0, queueLength: 0, left: 1000 });
  expect(await placer.place(exchangeOf(), plan)).toMatchObject({ status: 200, body: { done: "here" } });
});

test("a port that every node says is taken is that error; a node that gives no answer might take it, and it is none can now", async () => {
  const needs = { ...NEEDS, ports: ["80/tcp"] };
  const taken = { ports: new Set(["80/tcp"]) };
  const settings = { queueWait: 0, queueLength: 0, left: 1000 };
  const placed = (ask?: () => Promise<unknown>) => {
    const placer = new Scheduler(poolOf({ peers: [peerOf("n1")], ...(ask && { ask }) }), bidder("n0", taken), settings);
    return placer.place(exchangeOf(), { ...plan, needs });
  };
  await expect(placed(() => bidder("n1", taken).bid(needs))).rejects.toMatchObject({ code: "PORT_TAKEN", status: 409 });
  await expect(placed()).rejects.toMatchObject({ code: "NO_NODE", status: 503 });
  await expect(placed(() => bidder("n1", { lacks: "compose" }).bid(needs))).rejects.toMatchObject({ code: "NO_NODE" });
  const gone = peerOf("n1");
  gone.failed("refused");
  const placer = new Scheduler(poolOf({ peers: [gone] }), bidder("n0", taken), settings);
  await expect(placer.place(exchangeOf(), { ...plan, needs })).rejects.toMatchObject({ code: "NO_NODE" });
});

test("what is accepted counts until the run says that it has started, or is over", async () => {
  const node = bidder("n0");
  const placer = new Scheduler(poolOf({}), node, { queueWait: 0, queueLength: 0, left: 1000 });
  const large = { ...plan, needs: { ...NEEDS, memory: 0.75 * 2 ** 30 } };
  const reserved = async () => (await node.bid(NEEDS)).reservedMemory;
  const local = async (_body: unknown, started?: () => void) => {
    expect(await reserved()).toBe(0.75);
    started?.();
    expect(await reserved()).toBe(0);
    return new Reply(200, null);
  };
  await placer.takeHere(exchangeOf({ local }), large);
  await expect(placer.takeHere(exchangeOf({ local: () => Promise.reject(new AppError("NAME_TAKEN")) }), large)).rejects.toThrow();
  expect(await reserved()).toBe(0);
});
