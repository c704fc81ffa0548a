import type { Logger } from "../../../support/logger";
import { RedisConnection } from "../../../support/redis-connection";
import type { Store } from "./store";

const MEMBERS = "docker-server:nodes";
const keyOf = (key: string) => `docker-server:node:${key}`;
/** ms for an answer */
const PATIENCE = 4000;

/** A Redis that all nodes share: one key a node, which expires, and the set of all. */
export class RedisStore implements Store {
  private readonly redis: RedisConnection;

  /** @param expiry ms that a node's key outlives its last publication */
  constructor(
    url: string,
    private readonly expiry: number,
    log: Logger,
  ) {
    this.redis = new RedisConnection(url, PATIENCE, log);
  }

  async publish(key: string, text: string): Promise<void> {
    await this.redis.use((client) =>
      client
        .multi()
        .set(keyOf(key), text, { expiration: { type: "PX", value: this.expiry } })
        .sAdd(MEMBERS, key)
        .exec(),
    );
  }

  read(): Promise<Map<string, string>> {
    return this.redis.use(async (client) => {
      const keys = await client.sMembers(MEMBERS);
      if (keys.length === 0) return new Map();
      const texts = await client.mGet(keys.map(keyOf));
      const expired = keys.filter((_key, index) => texts[index] === null);
      if (expired.length > 0) await client.sRem(MEMBERS, expired);
      return new Map(keys.flatMap((key, index) => (texts[index] === null || texts[index] === undefined ? [] : [[key, texts[index]]])));
    });
  }

  async withdraw(key: string): Promise<void> {
    await this.redis.use((client) => client.multi().del(keyOf(key)).sRem(MEMBERS, key).exec());
  }

  async close(): Promise<void> {
    this.redis.close();
  }
}
