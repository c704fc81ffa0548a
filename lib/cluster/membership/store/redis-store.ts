import type { Logger } from "../../../support/logger";
import { RedisConnection } from "../../../support/redis-connection";
import type { Store } from "./store";

/** Set of all keys. */
const KEYS_SET = "docker-server:nodes";
const redisKey = (key: string) => `docker-server:node:${key}`;
const ANSWER_TIMEOUT_MS = 4000;

/** A shared Redis or Redis Cluster: one expiring key per node, and a set of all keys. */
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
    const expiration = { type: "PX", value: this.expiryMs } as const;
    await this.redis.use<unknown>(
      (client) => client.multi().set(redisKey(key), text, { expiration }).sAdd(KEYS_SET, key).exec(),
      // In this order: a reader removes a key without a text from the set.
      async (cluster) => {
        await cluster.set(redisKey(key), text, { expiration });
        await cluster.sAdd(KEYS_SET, key);
      },
    );
  }

  read(): Promise<Map<string, string>> {
    return this.redis.use(
      (client) =>
        readTexts(
          client,
          (keys) => client.mGet(keys),
          (keys) => client.sRem(KEYS_SET, keys),
        ),
      (cluster) =>
        readTexts(
          cluster,
          // A key of another type has no text, as with MGET.
          (keys) => Promise.all(keys.map((key) => cluster.get(key).catch(nullIfWrongType))),
          (keys) => cluster.sRem(KEYS_SET, keys),
        ),
    );
  }

  async withdraw(key: string): Promise<void> {
    await this.redis.use<unknown>(
      (client) => client.multi().del(redisKey(key)).sRem(KEYS_SET, key).exec(),
      async (cluster) => {
        await cluster.sRem(KEYS_SET, key);
        await cluster.del(redisKey(key));
      },
    );
  }

  async close(): Promise<void> {
    this.redis.close();
  }
}

async function readTexts(
  redis: { sMembers(key: string): Promise<string[]> },
  getAll: (keys: string[]) => Promise<(string | null)[]>,
  forget: (keys: string[]) => Promise<unknown>,
): Promise<Map<string, string>> {
  const keys = await redis.sMembers(KEYS_SET);
  if (keys.length === 0) return new Map();
  const texts = await getAll(keys.map(redisKey));
  const expired = keys.filter((_key, index) => texts[index] === null);
  if (expired.length > 0) await forget(expired);
  return new Map(keys.flatMap((key, index) => (texts[index] === null || texts[index] === undefined ? [] : [[key, texts[index]]])));
}

function nullIfWrongType(error: Error): null {
  if (error.message.startsWith("WRONGTYPE")) return null;
  throw error;
}
