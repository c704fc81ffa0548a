import { type ClientRateLimitInfo, MemoryStore, type Options, type Store } from "express-rate-limit";
import { RedisStore } from "rate-limit-redis";
import type { Logger } from "../support/logger";
import { RedisConnection } from "../support/redis-connection";

/** A Redis that takes longer (ms) for a count is done without; it is looked after again so often (ms). */
const PATIENCE = 500;
const LOOK_AGAIN = 2000;

/** Counts of requests that all nodes share through a Redis. While it is away each node counts by itself. */
export class SharedCounts {
  private readonly redis: RedisConnection;

  constructor(url: string, log: Logger) {
    this.redis = new RedisConnection(url, PATIENCE, log);
  }

  /** @param name of a burst class */
  of(name: string): Store {
    return new SharedCount(this.redis, name);
  }

  close(): void {
    this.redis.close();
  }
}

class SharedCount implements Store {
  readonly localKeys = false;
  private readonly own = new MemoryStore();
  private shared: RedisStore | undefined;
  private options: Options | undefined;

  constructor(
    private readonly redis: RedisConnection,
    private readonly name: string,
  ) {}

  init(options: Options): void {
    this.options = options;
    this.own.init(options);
    this.lookForRedis();
  }

  // In the background: no request waits for a Redis that may be away for long.
  private lookForRedis(): void {
    const store = new RedisStore({
      prefix: `docker-server:burst:${this.name}:`,
      sendCommand: (...command: string[]) => this.redis.use((client) => client.sendCommand(command)),
    });
    store.init(this.options as Options).then(
      () => {
        this.shared = store;
      },
      () => setTimeout(() => this.lookForRedis(), LOOK_AGAIN).unref(),
    );
  }

  async increment(key: string): Promise<ClientRateLimitInfo> {
    const { shared } = this;
    if (!shared) return this.own.increment(key);
    try {
      return await shared.increment(key);
    } catch {
      if (this.shared === shared) {
        this.shared = undefined;
        this.lookForRedis();
      }
      return this.own.increment(key);
    }
  }

  async decrement(key: string): Promise<void> {
    await (this.shared ?? this.own).decrement(key);
  }

  async resetKey(key: string): Promise<void> {
    await (this.shared ?? this.own).resetKey(key);
  }
}
