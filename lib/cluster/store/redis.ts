import { createClient } from "redis";
import type { Logger } from "../../support/logger";
import type { Store } from "./store";

const MEMBERS = "docker-server:nodes";
const keyOf = (key: string) => `docker-server:node:${key}`;
/** A connection on which nothing comes back in this time (ms) is given up: a link that was cut can keep one open for long. */
const PATIENCE = 4000;

/** A Redis that all nodes share: one key a node, which expires, and the set of all. */
export class RedisStore implements Store {
  private connection: ReturnType<RedisStore["connect"]> | undefined;

  /** @param expiry ms that a node's key outlives its last publication */
  constructor(
    private readonly url: string,
    private readonly expiry: number,
    private readonly log: Logger,
  ) {}

  async publish(key: string, text: string): Promise<void> {
    await this.use((client) =>
      client
        .multi()
        .set(keyOf(key), text, { expiration: { type: "PX", value: this.expiry } })
        .sAdd(MEMBERS, key)
        .exec(),
    );
  }

  read(): Promise<Map<string, string>> {
    return this.use(async (client) => {
      const keys = await client.sMembers(MEMBERS);
      if (keys.length === 0) return new Map();
      const texts = await client.mGet(keys.map(keyOf));
      const expired = keys.filter((_key, index) => texts[index] === null);
      if (expired.length > 0) await client.sRem(MEMBERS, expired);
      return new Map(keys.flatMap((key, index) => (texts[index] === null || texts[index] === undefined ? [] : [[key, texts[index]]])));
    });
  }

  async withdraw(key: string): Promise<void> {
    await this.use((client) => client.multi().del(keyOf(key)).sRem(MEMBERS, key).exec());
  }

  async close(): Promise<void> {
    this.drop(this.connection);
  }

  private connect() {
    // No attempts of its own: the next use connects again.
    const client = createClient({
      url: this.url,
      disableOfflineQueue: true,
      socket: { connectTimeout: PATIENCE, reconnectStrategy: false },
    });
    client.on("error", (error: Error) => this.log.debug("redis", { reason: error.message }));
    return { client, ready: client.connect() };
  }

  private async use<T>(work: (client: ReturnType<RedisStore["connect"]>["client"]) => Promise<T>): Promise<T> {
    this.connection ??= this.connect();
    const { connection } = this;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer in ${PATIENCE} ms`)), PATIENCE);
    });
    try {
      return await Promise.race([connection.ready.then(() => work(connection.client)), late]);
    } catch (error) {
      this.drop(connection);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  private drop(connection: RedisStore["connection"]): void {
    if (!connection) return;
    if (this.connection === connection) this.connection = undefined;
    connection.ready.catch(() => undefined);
    try {
      connection.client.destroy();
    } catch {
      // It was closed already.
    }
  }
}
