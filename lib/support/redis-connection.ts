import { createClient } from "redis";
import type { Logger } from "./logger";

type Client = ReturnType<typeof createClient>;

/** A connection to a Redis that may be unavailable for a while: each use reconnects if necessary. */
export class RedisConnection {
  private connection: { client: Client; ready: Promise<unknown> } | undefined;

  /** @param timeoutMs limit of a connection attempt, and of each use: after a network failure a dead connection can stay open for long */
  constructor(
    private readonly url: string,
    private readonly timeoutMs: number,
    private readonly log: Logger,
  ) {}

  /**
   * Runs commands on the connection.
   * @returns the result of `run`
   * @throws Error of Redis or of the network; the connection is closed then
   */
  async use<T>(run: (client: Client) => Promise<T>): Promise<T> {
    this.connection ??= this.connect();
    const { connection } = this;
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer in ${this.timeoutMs} ms`)), this.timeoutMs);
    });
    try {
      return await Promise.race([connection.ready.then(() => run(connection.client)), timeout]);
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
    // No reconnects by the client itself: the next use reconnects.
    const client: Client = createClient({
      url: this.url,
      disableOfflineQueue: true,
      socket: { connectTimeout: this.timeoutMs, reconnectStrategy: false },
    });
    client.on("error", (error: Error) => this.log.debug("Redis connection failed", { reason: error.message }));
    return { client, ready: client.connect() };
  }

  private drop(connection: RedisConnection["connection"]): void {
    if (!connection) return;
    if (this.connection === connection) this.connection = undefined;
    connection.ready.catch(() => undefined);
    try {
      connection.client.destroy();
    } catch {
      // already closed
    }
  }
}
