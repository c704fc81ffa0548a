import type { Logger } from "../../../support/logger";
import { RedisConnection } from "../../../support/redis-connection";
import type { Store } from "./store";

/** Set of all keys. */
const KEYS_SET = "docker-server:nodes";
const redisKey = (key: string) => `docker-server:node:${key}`;
const ANSWER_TIMEOUT_MS = 4000;

/** A shared Redis: one expiring key per node, and a set of all keys. */
export class RedisStore implements Store {
  private readonly redis: RedisConnection;

  /** @param expiryMs how long a key outlives its last publication */
  constructor(
    url: string,
    private readonly expiryMs: number,
    log: Logger,
  ) {
    this.redis = new RedisConnection(url, ANSWER_TIMEOUT_MS, log);
  }

  async publish(key: string, text: string): Promise<void> {
    await this.redis.use((client) =>
      client
        .multi()
        .set(redisKey(key), text, { expiration: { type: "PX", value: this.expiryMs } })
        .sAdd(KEYS_SET, key)
        .exec(),
    );
  }

  read(): Promise<Map<string, string>> {
    return this.redis.use(async (client) => {
      const keys = await client.sMembers(KEYS_SET);
      if (keys.length === 0) return new Map();
      const texts = await client.mGet(keys.map(redisKey));
      const expired = keys.filter((_key, index) => texts[index] === null);
      if (expired.length > 0) await client.sRem(KEYS_SET, expired);
      return new Map(keys.flatMap((key, index) => (texts[index] === null || texts[index] === undefined ? [] : [[key, texts[index]]])));
    });
  }

  async withdraw(key: string): Promise<void> {
    await this.redis.use((client) => client.multi().del(redisKey(key)).sRem(KEYS_SET, key).exec());
  }

  async close(): Promise<void> {
    this.redis.close();
  }
}
