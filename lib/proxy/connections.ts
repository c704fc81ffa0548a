import net from "node:net";
import tls from "node:tls";

/** Where connections go, and how long (ms) one may lie idle: shorter than those at the other end keep theirs. */
export interface Target {
  /** What is pooled together: never connections to two containers. */
  key: string;
  idle: number;
  options: net.TcpNetConnectOpts | (tls.ConnectionOptions & { secure: true });
}

/** What happens on a connection, told to whoever has it at the moment. */
export interface Listener {
  connected(): void;
  data(bytes: Buffer): void;
  drain(): void;
  ended(): void;
  /** It is over, and no more is told. */
  failed(error: NodeJS.ErrnoException): void;
}

/** One connection to where a container, or another node, answers. */
export class Connection {
  readonly socket: net.Socket;
  listener: Listener | undefined;
  /** It has carried an answer already: the other end may have closed it by now. */
  used = false;
  private over = false;
  private timer: NodeJS.Timeout | undefined;
  private forget: (() => void) | undefined;

  constructor(readonly target: Target) {
    const { options } = target;
    this.socket = "secure" in options ? tls.connect(options) : net.connect({ ...options, noDelay: true });
    this.socket.setNoDelay(true);
    this.socket.once("secure" in options ? "secureConnect" : "connect", () => this.listener?.connected());
    for (const [event, handler] of this.handlers) this.socket.on(event, handler);
  }

  private readonly handlers: [string, (given: Buffer & Error) => void][] = [
    // What comes unasked on an idle connection is nobody's answer.
    ["data", (bytes: Buffer) => (this.listener ? this.listener.data(bytes) : this.destroy())],
    ["drain", () => this.listener?.drain()],
    ["end", () => this.close((listener) => listener.ended())],
    ["error", (error: Error) => this.close((listener) => listener.failed(error))],
    ["close", () => this.close((listener) => listener.failed(new Error("the connection was closed")))],
  ];

  private close(tell: (listener: Listener) => void): void {
    this.over = true;
    clearTimeout(this.timer);
    const { listener } = this;
    this.listener = undefined;
    if (listener) tell(listener);
    else this.forget?.();
    this.socket.destroy();
  }

  get usable(): boolean {
    return !this.over && !this.socket.destroyed;
  }

  /** @param forget called when it has lain idle for too long, or ends meanwhile */
  rest(forget: () => void): void {
    this.listener = undefined;
    this.forget = forget;
    this.used = true;
    this.socket.resume();
    if (this.timer) this.timer.refresh();
    else
      this.timer = setTimeout(() => {
        if (this.listener) return;
        this.forget?.();
        this.destroy();
      }, this.target.idle);
  }

  /** Ends it, and tells nobody. */
  destroy(): void {
    this.listener = undefined;
    clearTimeout(this.timer);
    this.socket.destroy();
  }

  /** Gives its socket away, with nothing of this left on it. */
  detach(rest: Buffer): net.Socket {
    clearTimeout(this.timer);
    this.socket.pause();
    this.over = true;
    this.socket.on("error", () => this.socket.destroy());
    for (const [event, handler] of this.handlers) this.socket.off(event, handler);
    if (rest.length > 0) this.socket.unshift(rest);
    return this.socket;
  }
}

/** Idle connections at most, to one place. */
const MOST_IDLE = 64;

/** Keeps connections for the next request. */
export class Connections {
  private readonly idle = new Map<string, Connection[]>();
  private closed = false;

  /**
   * One that lies idle, else a new one.
   * @param fresh never one that lay idle
   */
  take(target: Target, fresh: boolean): Connection {
    const resting = (fresh ? undefined : this.idle.get(target.key)) ?? [];
    const found = resting.pop();
    if (resting.length === 0 && !fresh) this.idle.delete(target.key);
    if (!found) return new Connection(target);
    return found.usable ? found : this.take(target, fresh);
  }

  /** Takes back one that has carried a whole answer. */
  give(connection: Connection): void {
    const { key } = connection.target;
    const resting = this.idle.get(key) ?? [];
    if (this.closed || !connection.usable || resting.length >= MOST_IDLE) return void connection.destroy();
    if (resting.length === 0) this.idle.set(key, resting);
    resting.push(connection);
    connection.rest(() => {
      const at = resting.indexOf(connection);
      if (at >= 0) resting.splice(at, 1);
      if (resting.length === 0 && this.idle.get(key) === resting) this.idle.delete(key);
    });
  }

  /** Places to which there are any. */
  get places(): number {
    return this.idle.size;
  }

  close(): void {
    this.closed = true;
    for (const resting of this.idle.values()) for (const connection of resting) connection.destroy();
    this.idle.clear();
  }
}
