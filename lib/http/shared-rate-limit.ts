import { type ClientRateLimitInfo, MemoryStore, type Options, type Store } from "express-rate-limit";
import { RedisStore } from "rate-limit-redis";
import type { Logger } from "../support/logger";
import { RedisConnection } from "../support/redis-connection";

/** A request waits no longer than this for Redis; then its node counts locally. */
const REDIS_TIMEOUT_MS = 500;
const RECONNECT_INTERVAL_MS = 2000;

/** Rate limits that all nodes share through Redis. While Redis is unavailable, each node counts for itself. */
export class SharedRateLimits {
  private readonly redis: RedisConnection;

  constructor(url: string, log: Logger) {
    this.redis = new RedisConnection(url, REDIS_TIMEOUT_MS, log);
  }

  storeFor(burst: string): Store {
    return new SharedRateLimitStore(this.redis, burst);
  }

  close(): void {
    this.redis.close();
  }
}

class SharedRateLimitStore implements Store {
  readonly localKeys = false;
  private readonly localStore = new MemoryStore();
  private sharedStore: RedisStore | undefined;
  private options: Options | undefined;

  constructor(
    private readonly redis: RedisConnection,
    private readonly burst: string,
  ) {}

  init(options: Options): void {
    this.options = options;
    this.localStore.init(options);
    this.connectInBackground();
  }

  // In the background: no request waits for a Redis that may be unavailable for long.
  private connectInBackground(): void {
    const store = new RedisStore({
      prefix: `docker-server:burst:${this.burst}:`,
      sendCommandCluster: ({ key, isReadOnly, command }) =>
        this.redis.use(
          (client) => client.sendCommand(command),
          (cluster) => cluster.sendCommand(key, isReadOnly, command),
        ),
    });
    store.init(this.options as Options).then(
      () => {
        this.sharedStore = store;
      },
      () => setTimeout(() => this.connectInBackground(), RECONNECT_INTERVAL_MS).unref(),
    );
  }

  async increment(key: string): Promise<ClientRateLimitInfo> {
    const { sharedStore } = this;
    if (!sharedStore) return this.localStore.increment(key);
    try {
      return await sharedStore.increment(key);
    } catch {
      if (this.sharedStore === sharedStore) {
        this.sharedStore = undefined;
        this.connectInBackground();
      }
      return this.localStore.increment(key);
    }
  }

  async decrement(key: string): Promise<void> {
    await (this.sharedStore ?? this.localStore).decrement(key);
  }

  async resetKey(key: string): Promise<void> {
    await (this.sharedStore ?? this.localStore).resetKey(key);
  }
}
