import fc from "fast-check";
import type { Needs } from "../../../../lib/cluster/scheduling/bid";
import { Bidder, type Inventory } from "../../../../lib/cluster/scheduling/bidder";
import { loadOf } from "../../../../lib/cluster/scheduling/scoring";
import { NEEDS } from "../../../support/unit/cluster-parts";

const GB = 2 ** 30;
const IDLE = { cpu: 0, memory: 0 };
const ROOMY: Inventory = {
  reservedMemory: 0,
  reservedCpu: 0,
  bindings: ["0.0.0.0:80/tcp", "127.0.0.1:81/tcp"],
  hasImage: true,
  hasVolumes: true,
  totalMemory: 8 * GB,
  cores: 4,
};

function bidder(inventory: Partial<Inventory> = {}, load = { cpu: 0.25, memory: 0.5 }, slotCount = 2): Bidder {
  return new Bidder({ nodeName: "n1", inventory: async () => ({ ...ROOMY, ...inventory }), load: () => load, slotCount });
}
const needs = (fields: Partial<Needs>): Needs => ({ ...NEEDS, ...fields });

test("a bid holds the load and the inventory", async () => {
  const bid = await bidder({ reservedMemory: 0.1, reservedCpu: 0.2, hasImage: false, hasVolumes: false }).bid(NEEDS);
  const inventory = { reservedMemory: 0.1, reservedCpu: 0.2, hasImage: false, hasVolumes: false, recent: 0 };
  expect(bid).toEqual({ node: "n1", cpu: 0.25, memory: 0.5, ...inventory });
});

test.each<[string, Partial<Needs>, Partial<Inventory>, RegExp | undefined]>([
  ["a host port that is taken", { ports: ["8080/tcp", "80/tcp"] }, {}, /port 80\/tcp is taken/],
  ["the same port of the other protocol", { ports: ["80/udp"] }, {}, undefined],
  ["the port at all addresses", { ports: ["81/tcp"], bindings: [":81/tcp"] }, {}, /port 81\/tcp is taken/],
  ["the port at all IPv4 addresses", { ports: ["81/tcp"], bindings: ["0.0.0.0:81/tcp"] }, {}, /port 81\/tcp is taken/],
  ["the port at the same address", { ports: ["81/tcp"], bindings: ["127.0.0.1:81/tcp"] }, {}, /port 81\/tcp is taken/],
  ["the port at another address", { ports: ["81/tcp"], bindings: ["127.0.0.2:81/tcp"] }, {}, undefined],
  ["the port at an IPv6 address", { ports: ["80/tcp"], bindings: ["[::1]:80/tcp"] }, {}, undefined],
  ["more memory than there is", { memory: 9 * GB }, {}, /memory/],
  ["all the memory there is", { memory: 8 * GB }, {}, undefined],
  ["more memory than is left", { memory: 5 * GB }, { reservedMemory: 0.5 }, /memory/],
  ["all the memory that is left", { memory: 4 * GB }, { reservedMemory: 0.5 }, undefined],
  ["no certain memory, where others have reserved more than there is", {}, { reservedMemory: 1.5 }, undefined],
  ["an image that is not here and may not be pulled", { pull: "never" }, { hasImage: false }, /image/],
  ["an image that is here and may not be pulled", { pull: "never" }, {}, undefined],
  ["an image that is not here and may be pulled", { pull: "missing" }, { hasImage: false }, undefined],
  ["an image that is pulled anyway", { pull: "always" }, { hasImage: false }, undefined],
  // Only placement knows whether they are anywhere else.
  ["volumes that are not here", { volumes: ["data"] }, { hasVolumes: false }, undefined],
  ["a network that is not here", { networks: ["back"] }, { missingNetwork: "back" }, /network back is not here/],
  ["a container to join that is not here", { containers: ["vpn"] }, { missingContainer: "vpn" }, /container vpn is not here/],
  ["a program that is not installed here", { compose: true }, { missingRequirement: "docker compose is not installed" }, /compose/],
  ["more cores than there are: they are shared", { cpus: 100 }, { reservedCpu: 3 }, undefined],
])("the bid for a run that needs %s", async (_name, wanted, inventory, declines) => {
  const bid = await bidder(inventory).bid(needs(wanted));
  if (declines) expect(bid.declines).toMatch(declines);
  else expect(bid).not.toHaveProperty("declines");
});

test("a bid declines with the reason if the inventory can't be read", async () => {
  const inventory = () => Promise.reject(new Error("the engine is down"));
  const failing = new Bidder({ nodeName: "n1", inventory, load: () => IDLE, slotCount: 2 });
  expect(await failing.bid(NEEDS)).toMatchObject({ node: "n1", declines: "the engine is down" });
});

test("the inventory is read for the needs of the run", async () => {
  const asked: Needs[] = [];
  const inventory = async (wanted: Needs) => {
    asked.push(wanted);
    return ROOMY;
  };
  const recording = new Bidder({ nodeName: "n1", inventory, load: () => IDLE, slotCount: 2 });
  await recording.bid(needs({ image: "redis", volumes: ["data"] }));
  expect(asked).toEqual([needs({ image: "redis", volumes: ["data"] })]);
});

test("an accepted run reserves its memory, cores and ports until it is released", async () => {
  const node = bidder({ reservedMemory: 0.25 });
  const run = needs({ memory: 4 * GB, cpus: 2, ports: ["8080/tcp"] });
  const release = node.accept(run);
  expect(await node.bid(NEEDS)).toMatchObject({ reservedMemory: 0.75, reservedCpu: 0.5 });
  expect((await node.bid(needs({ memory: 3 * GB }))).declines).toMatch(/memory/);
  expect((await node.bid(needs({ ports: ["8080/tcp"] }))).declines).toBe("port 8080/tcp is taken");
  release();
  release();
  expect(await node.bid(run)).toMatchObject({ reservedMemory: 0.25, reservedCpu: 0 });
  expect(await node.bid(run)).not.toHaveProperty("declines");
});

test("two equal accepted runs count twice until each is released", async () => {
  const node = bidder();
  const releases = [node.accept(needs({ memory: GB })), node.accept(needs({ memory: GB }))];
  const reserved = async () => (await node.bid(NEEDS)).reservedMemory;
  expect(await reserved()).toBe(2 / 8);
  releases[0]?.();
  expect(await reserved()).toBe(1 / 8);
  releases[1]?.();
  expect(await reserved()).toBe(0);
});

test("runs of any sizes fit until the last byte of memory is reserved", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 8 }), async (sizes) => {
      const node = bidder({ totalMemory: sizes.reduce((total, size) => total + size, 0) });
      for (const memory of sizes) {
        expect(await node.bid(needs({ memory }))).not.toHaveProperty("declines");
        node.accept(needs({ memory }));
      }
      expect((await node.bid(needs({ memory: 1 }))).declines).toMatch(/memory/);
    }),
  );
});

describe("a recent placement", () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  test("adds to the load, half of it after 20 s and almost nothing after minutes, even if released at once", async () => {
    const node = bidder();
    const before = loadOf(await node.bid(NEEDS));
    node.accept(NEEDS)();
    expect(loadOf(await node.bid(NEEDS))).toBeGreaterThan(before);
    expect((await node.bid(NEEDS)).recent).toBe(1);
    jest.advanceTimersByTime(20_000);
    expect((await node.bid(NEEDS)).recent).toBeCloseTo(0.5);
    node.accept(NEEDS);
    expect((await node.bid(NEEDS)).recent).toBeCloseTo(1.5);
    jest.advanceTimersByTime(300_000);
    expect((await node.bid(NEEDS)).recent).toBeLessThan(0.001);
  });
});

test("a bid for a run that needs a slot counts the slots taken; any other bid has none", async () => {
  const node = bidder();
  const run = needs({ slot: true });
  const slots = async () => (await node.bid(run)).slots;
  const frees = [node.occupySlot(run)];
  node.occupySlot(needs({}));
  expect(await slots()).toEqual({ taken: 1, size: 2 });
  frees.push(node.occupySlot(run), node.occupySlot(run));
  expect(await slots()).toEqual({ taken: 3, size: 2 });
  expect(await node.bid(needs({}))).not.toHaveProperty("slots");
  for (const free of frees) free();
  expect(await slots()).toEqual({ taken: 0, size: 2 });
});

test("a node that takes no new work declines every run", async () => {
  const closed = bidder();
  closed.accepting = false;
  expect(await closed.bid(NEEDS)).toMatchObject({ declines: "it takes no new work", code: "NOT_ACCEPTING" });
  closed.accepting = true;
  expect(await closed.bid(NEEDS)).not.toHaveProperty("declines");
});
