import type { Options, Store } from "express-rate-limit";
import { createClient } from "redis";
import { RedisStore } from "../../../../lib/cluster/membership/store/redis-store";
import { SharedRateLimits } from "../../../../lib/http/shared-rate-limit";
import { until } from "../../../../scripts/process";
import { type FlakyServer, startRedis, startRedisCluster } from "../../../support/redis";
import { quietLog } from "../../../support/unit/quiet-log";
import { survivesItsServer } from "./faults";
import { behavesAsAStore } from "./suite";

let server: FlakyServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

const url = () => `redis://127.0.0.1:${server.port}`;
const make = (expiry = 60_000) => new RedisStore(url(), expiry, quietLog().log);

const newClient = () => createClient({ url: url() });

async function raw<T>(use: (client: ReturnType<typeof newClient>) => Promise<T>): Promise<T> {
  const client = newClient();
  await client.connect();
  try {
    return await use(client);
  } finally {
    client.destroy();
  }
}

describe("Redis", () => {
  behavesAsAStore(async () => {
    await raw((client) => client.flushAll());
    return {
      node: make,
      addUnrelatedEntries: () =>
        raw(async (client) => {
          await client.set("somebody:else", "text");
          await client.set("docker-server:rate:somebody", "1");
          await client.hSet("docker-server:node:hash", "field", "value");
          await client.sAdd("docker-server:nodes", ["hash", "never-published"]);
        }),
    };
  });

  survivesItsServer(() => server, make);

  test("the record of a node that stops publishing expires", async () => {
    await raw((client) => client.flushAll());
    const dying = make(300);
    const other = make();
    await dying.publish("dying", "text");
    await other.publish("other", "text");
    expect([...(await other.read()).keys()].sort()).toEqual(["dying", "other"]);
    expect(await until(async () => [...(await other.read()).keys()].join() === "other", 10_000)).toBe(true);
    expect(await raw((client) => client.sMembers("docker-server:nodes"))).toEqual(["other"]);
    await Promise.all([dying.close(), other.close()]);
  });

  test("a read requests only the keys of nodes", async () => {
    await raw((client) => client.flushAll());
    const store = make();
    await store.publish("a", "text");
    const commands = await raw(async (client) => {
      await client.configResetStat();
      await store.read();
      return client.info("commandstats");
    });
    expect(commands).toMatch(/cmdstat_smembers:calls=1,/);
    expect(commands).toMatch(/cmdstat_getrange:calls=1,/);
    expect(commands).not.toMatch(/cmdstat_(keys|scan)/);
    await store.close();
  });
});

test.each(["Redis", "Redis Cluster"])("of a text of 10 MB in a %s no more is read than a record may have", async (kind) => {
  const own = kind === "Redis" ? server : await startRedisCluster();
  const store = new RedisStore(`redis://127.0.0.1:${own.port}`, 60_000, quietLog().log);
  await store.publish("large", "x".repeat(10_000_000));
  await store.publish("a", "record of a");
  const texts = await store.read();
  expect(texts.get("a")).toBe("record of a");
  expect(texts.get("large")).toHaveLength(10_001);
  await store.withdraw("large");
  await store.close();
  if (own !== server) await own.stop();
});

describe("Redis Cluster", () => {
  let redisCluster: FlakyServer;
  beforeAll(async () => {
    redisCluster = await startRedisCluster();
  });
  afterAll(() => redisCluster.stop());
  const clusterUrl = () => `redis://127.0.0.1:${redisCluster.port}`;

  test("nodes publish, read and withdraw, although their keys are in different hash slots", async () => {
    const [one, two] = [1, 2].map(() => new RedisStore(clusterUrl(), 60_000, quietLog().log)) as [RedisStore, RedisStore];
    await one.publish("a", "record of a");
    await two.publish("b", "record of b");
    expect([...(await one.read())].sort()).toEqual([
      ["a", "record of a"],
      ["b", "record of b"],
    ]);
    await two.withdraw("a");
    expect([...(await one.read()).keys()]).toEqual(["b"]);
    await Promise.all([one.close(), two.close()]);
  });

  test("nodes count burst limits together", async () => {
    const nodes = [1, 2].map(() => new SharedRateLimits(clusterUrl(), quietLog().log));
    const [one, two] = nodes.map((node) => node.storeFor("low")) as [Store, Store];
    for (const store of [one, two]) store.init?.({ windowMs: 60_000 } as Options);
    // Until it is connected each node counts for itself.
    const countTogether = async () => {
      const hits: number[] = [];
      for (const store of [one, two, one]) hits.push((await store.increment("key")).totalHits);
      return hits.every((each, index) => each === (hits[0] as number) + index);
    };
    expect(await until(countTogether, 20_000)).toBe(true);
    for (const node of nodes) node.close();
  });
});
