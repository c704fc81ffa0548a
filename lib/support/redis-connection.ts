import { createClient, createCluster } from "redis";
import type { Logger } from "./logger";
import { SettingsError } from "./settings-error";

type Client = ReturnType<typeof createClient>;
export type RedisCluster = ReturnType<typeof createCluster>;

interface Connection {
  client: Client;
  /** if the server is a node of a Redis Cluster */
  cluster?: RedisCluster;
  ready: Promise<void>;
  isReady: boolean;
}

/** Finding and connecting all nodes of a Redis Cluster takes several exchanges: longer than one use may take. */
const CONNECT_TIMEOUT_MS = 4000;

/** A connection to a Redis, or to a Redis Cluster by one of its nodes, that may be unavailable for a while: each use reconnects if necessary. */
export class RedisConnection {
  private connection: Connection | undefined;

  /**
   * @param timeoutMs limit of each use, because after a network failure a dead connection can stay open for long; a connection attempt
   *   that takes longer goes on for the next use
   * @throws TypeError if the URL can never work
   */
  constructor(
    private readonly url: string,
    private readonly timeoutMs: number,
    private readonly log: Logger,
  ) {
    if (!URL.canParse(url) || !/^rediss?:\/\//i.test(url))
      throw new SettingsError("--redis must be a URL that begins with redis:// or rediss://");
  }

  /**
   * Runs commands on the connection.
   * @param runOnCluster instead of `run` on a Redis Cluster, where a command has keys of one hash slot only
   * @returns the result
   * @throws Error of Redis or of the network; the connection is closed then, unless it is still being made
   */
  async use<T>(run: (client: Client) => Promise<T>, runOnCluster: (cluster: RedisCluster) => Promise<T>): Promise<T> {
    this.connection ??= this.connect();
    const { connection } = this;
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer in ${this.timeoutMs} ms`)), this.timeoutMs);
    });
    try {
      const result = connection.ready.then(() => (connection.cluster ? runOnCluster(connection.cluster) : run(connection.client)));
      return await Promise.race([result, timeout]);
    } catch (error) {
      if (connection.isReady) this.drop(connection);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.drop(this.connection);
  }

  private connect(): Connection {
    // No reconnects by the client itself: the next use reconnects.
    const client: Client = createClient({
      url: this.url,
      disableOfflineQueue: true,
      socket: { connectTimeout: CONNECT_TIMEOUT_MS, reconnectStrategy: false },
    });
    const onError = (error: Error) => this.log.debug("Redis connection failed", { reason: error.message });
    client.on("error", onError);
    const connection: Connection = { client, ready: Promise.resolve(), isReady: false };
    const timer = setTimeout(() => this.drop(connection), CONNECT_TIMEOUT_MS).unref();
    const connecting = client.connect().then(async () => {
      // A user who may not ask for it is taken for one of a single server.
      const info = await client.info("cluster").catch(() => "");
      if (!/cluster_enabled:1/.test(info)) return;
      connection.cluster = this.openRedisCluster();
      connection.cluster.on("error", onError);
      await connection.cluster.connect();
    });
    connection.ready = connecting.then(() => {
      connection.isReady = true;
    });
    connection.ready.catch(() => this.drop(connection)).finally(() => clearTimeout(timer));
    return connection;
  }

  private openRedisCluster(): RedisCluster {
    const { username, password, protocol } = new URL(this.url);
    return createCluster({
      rootNodes: [{ url: this.url }],
      // The other nodes are found by asking this one, and need the same credentials.
      defaults: {
        ...(username ? { username: decodeURIComponent(username) } : {}),
        ...(password ? { password: decodeURIComponent(password) } : {}),
        disableOfflineQueue: true,
        socket: { connectTimeout: CONNECT_TIMEOUT_MS, reconnectStrategy: false, ...(protocol === "rediss:" ? { tls: true as const } : {}) },
      },
    });
  }

  private drop(connection: Connection | undefined): void {
    if (!connection) return;
    if (this.connection === connection) this.connection = undefined;
    connection.ready.catch(() => undefined);
    for (const each of [connection.client, connection.cluster]) {
      try {
        each?.destroy();
      } catch {
        // already closed
      }
    }
  }
}
