import type { Logger } from "../../../support/logger";
import { RedisConnection } from "../../../support/redis-connection";
import type { Store } from "./store";

/** Set of all keys. */
const KEYS_SET = "docker-server:nodes";
const redisKey = (key: string) => `docker-server:node:${key}`;
const ANSWER_TIMEOUT_MS = 4000;
/** No more of a text is read: longer ones are no records. */
const MAX_TEXT_BYTES = 10_000;

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
    return this.redis.use<Map<string, string>>(readTexts, readTexts);
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

/** The commands of a Redis or a Redis Cluster that reading takes. */
interface RecordReader {
  sMembers(key: string): Promise<string[]>;
  getRange(key: string, start: number, end: number): Promise<string | null>;
  sRem(key: string, members: string[]): Promise<unknown>;
}

async function readTexts(redis: RecordReader): Promise<Map<string, string>> {
  const keys = await redis.sMembers(KEYS_SET);
  const texts = await Promise.all(keys.map((key) => redis.getRange(redisKey(key), 0, MAX_TEXT_BYTES).catch(emptyIfWrongType)));
  // An expired key has an empty text.
  const expired = keys.filter((_key, index) => !texts[index]);
  if (expired.length > 0) await redis.sRem(KEYS_SET, expired);
  return new Map(keys.flatMap((key, index) => (texts[index] ? [[key, texts[index]]] : [])));
}

function emptyIfWrongType(error: Error): string {
  if (error.message.startsWith("WRONGTYPE")) return "";
  throw error;
}
