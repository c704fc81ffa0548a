import net from "node:net";
import tls from "node:tls";

/** Of a body that comes faster than it is sent on: with Node's 16 kB each piece of it would pause the client, as over TLS. */
const UPLOAD_BUFFER_BYTES = 262_144;

/** Where requests are sent: the address of a container's port, or of another node. */
export interface UpstreamEndpoint {
  /** Connections with the same key are pooled together: never those to two containers. */
  poolKey: string;
  /** An idle connection is closed after this time: it must be shorter than the keep-alive timeout of the other end. */
  idleTimeoutMs: number;
  connectOptions: net.NetConnectOpts | (tls.ConnectionOptions & { secure: true });
}

/** Receives the events of a connection while it carries a request. */
export interface ConnectionListener {
  onConnect(): void;
  onData(bytes: Buffer): void;
  onDrain(): void;
  onEnd(): void;
  /** The connection has failed or closed; no further event follows. */
  onError(error: NodeJS.ErrnoException): void;
}

/** One connection to a container or to another node. */
export class UpstreamConnection {
  readonly socket: net.Socket;
  listener: ConnectionListener | undefined;
  /** It has carried a response already: the other end may be closing it at this moment. */
  reused = false;
  private closed = false;
  private idleTimer: NodeJS.Timeout | undefined;
  private onIdleEnd: (() => void) | undefined;

  constructor(readonly endpoint: UpstreamEndpoint) {
    const { connectOptions } = endpoint;
    const options = { ...connectOptions, writableHighWaterMark: UPLOAD_BUFFER_BYTES };
    this.socket = "secure" in options ? tls.connect(options) : net.connect({ ...options, noDelay: true });
    this.socket.setNoDelay(true);
    this.socket.once("secure" in connectOptions ? "secureConnect" : "connect", () => this.listener?.onConnect());
    for (const [event, handler] of this.socketHandlers) this.socket.on(event, handler);
  }

  private readonly socketHandlers: [string, (argument: Buffer & Error) => void][] = [
    // Bytes on an idle connection belong to no request: it can't be used any more.
    ["data", (bytes: Buffer) => (this.listener ? this.listener.onData(bytes) : this.destroy())],
    ["drain", () => this.listener?.onDrain()],
    ["end", () => this.handleClose((listener) => listener.onEnd())],
    ["error", (error: Error) => this.handleClose((listener) => listener.onError(error))],
    ["close", () => this.handleClose((listener) => listener.onError(new Error("the connection was closed")))],
  ];

  private handleClose(notify: (listener: ConnectionListener) => void): void {
    this.closed = true;
    clearTimeout(this.idleTimer);
    const { listener } = this;
    this.listener = undefined;
    if (listener) notify(listener);
    else this.onIdleEnd?.();
    this.socket.destroy();
  }

  get usable(): boolean {
    return !this.closed && !this.socket.destroyed;
  }

  /**
   * Keeps the connection open for a later request.
   * @param onIdleEnd called when it has been idle for too long, or closes while it is idle
   */
  markIdle(onIdleEnd: () => void): void {
    this.listener = undefined;
    this.onIdleEnd = onIdleEnd;
    this.reused = true;
    this.socket.resume();
    if (this.idleTimer) this.idleTimer.refresh();
    else
      this.idleTimer = setTimeout(() => {
        if (this.listener) return;
        this.onIdleEnd?.();
        this.destroy();
      }, this.endpoint.idleTimeoutMs);
  }

  /** Closes the connection without an event to its listener. */
  destroy(): void {
    this.listener = undefined;
    clearTimeout(this.idleTimer);
    this.socket.destroy();
  }

  /**
   * Hands the socket over, with none of this connection's event handlers left on it.
   * @param rest bytes that were read already and belong to the new owner
   */
  detachSocket(rest: Buffer): net.Socket {
    clearTimeout(this.idleTimer);
    this.socket.pause();
    this.closed = true;
    this.socket.on("error", () => this.socket.destroy());
    for (const [event, handler] of this.socketHandlers) this.socket.off(event, handler);
    if (rest.length > 0) this.socket.unshift(rest);
    return this.socket;
  }
}

const MAX_IDLE_PER_ENDPOINT = 64;

/** Keeps idle connections for later requests to the same endpoint. */
export class ConnectionPool {
  private readonly idle = new Map<string, UpstreamConnection[]>();
  private closed = false;

  /**
   * Takes an idle connection, or opens a new one.
   * @param forceNew always opens a new one
   */
  acquire(endpoint: UpstreamEndpoint, forceNew: boolean): UpstreamConnection {
    const idleConnections = (forceNew ? undefined : this.idle.get(endpoint.poolKey)) ?? [];
    const connection = idleConnections.pop();
    if (idleConnections.length === 0 && !forceNew) this.idle.delete(endpoint.poolKey);
    if (!connection) return new UpstreamConnection(endpoint);
    return connection.usable ? connection : this.acquire(endpoint, forceNew);
  }

  /** Takes back a connection that has carried a complete response. */
  release(connection: UpstreamConnection): void {
    const { poolKey } = connection.endpoint;
    const idleConnections = this.idle.get(poolKey) ?? [];
    if (this.closed || !connection.usable || idleConnections.length >= MAX_IDLE_PER_ENDPOINT) return void connection.destroy();
    if (idleConnections.length === 0) this.idle.set(poolKey, idleConnections);
    idleConnections.push(connection);
    connection.markIdle(() => {
      const index = idleConnections.indexOf(connection);
      if (index >= 0) idleConnections.splice(index, 1);
      if (idleConnections.length === 0 && this.idle.get(poolKey) === idleConnections) this.idle.delete(poolKey);
    });
  }

  /** Number of endpoints with at least one idle connection. */
  get idleEndpointCount(): number {
    return this.idle.size;
  }

  close(): void {
    this.closed = true;
    for (const idleConnections of this.idle.values()) for (const connection of idleConnections) connection.destroy();
    this.idle.clear();
  }
}
