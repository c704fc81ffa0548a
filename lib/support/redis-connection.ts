import { createClient } from "redis";
import type { Logger } from "./logger";

type Client = ReturnType<typeof createClient>;

/** A connection to a Redis that may be away for a while: each use connects anew if need be. */
export class RedisConnection {
  private connection: { client: Client; ready: Promise<unknown> } | undefined;

  /** @param patience ms after which one on which nothing comes back is given up: a link that was cut can keep it open for long */
  constructor(
    private readonly url: string,
    private readonly patience: number,
    private readonly log: Logger,
  ) {}

  /** Does something with it. Rejects with what Redis or the network said. */
  async use<T>(work: (client: Client) => Promise<T>): Promise<T> {
    this.connection ??= this.connect();
    const { connection } = this;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer in ${this.patience} ms`)), this.patience);
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

  close(): void {
    this.drop(this.connection);
  }

  private connect() {
    // No attempts of its own: the next use connects again.
    const client: Client = createClient({
      url: this.url,
      disableOfflineQueue: true,
      socket: { connectTimeout: this.patience, reconnectStrategy: false },
    });
    client.on("error", (error: Error) => this.log.debug("redis", { reason: error.message }));
    return { client, ready: client.connect() };
  }

  private drop(connection: RedisConnection["connection"]): void {
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
