import type { IncomingMessage } from "node:http";
import { Duplex, type Readable } from "node:stream";
import type { DialOptions } from "docker-modem";
import Docker, { type ContainerCreateOptions, type VolumeCreateOptions, type VolumeInspectInfo } from "dockerode";
import { AppError, isUnavailable } from "../errors";
import { measure } from "../support/measure";
import { settlesBefore } from "../support/settles-before";
import { breakOffWhenStalled } from "./break-off-when-stalled";
import type { Endpoint } from "./endpoint";
import { type EngineOperation, toAppErrorFromEngine } from "./engine-errors";

/** An engine that does not answer a ping in this time counts as unreachable, so that clients get their 503 within a second. */
const PING_TIMEOUT_MS = 700;
/** The same for one that is reached over SSH, where a ping may have to wait for a new connection. */
const SSH_PING_TIMEOUT_MS = 5000;
/** A response of the engine proves for this time that it is alive. */
const PING_VALID_MS = 1000;
/** A call that takes longer than this goes on only while the engine answers pings. */
const SLOW_CALL_MS = 150;
/** Pings in a row that may fail during a create or a start: under load these are slow, and giving up leaves a container behind. */
const MAX_MISSED_PINGS = 5;

const UPGRADE_LOST =
  "The connection to the Docker engine was not upgraded, so standard input can't be sent: let the proxy before the engine pass Upgrade headers";

/** A caller's credentials for a registry. */
export interface RegistryAuth {
  username: string;
  password: string;
  email?: string | undefined;
  serveraddress?: string | undefined;
}

export type { ContainerCreateOptions, ContainerInspectInfo } from "dockerode";

interface StreamOptions {
  query?: Record<string, string | number | boolean | undefined>;
  /** sent as JSON; no body if absent */
  body?: object;
  signal?: AbortSignal;
  /** By which errors are mapped; "call" if absent. */
  operation?: EngineOperation;
  /** The response waits for nothing but the engine: it breaks off with ENGINE_TIMEOUT once nothing comes for the read timeout. */
  isFinite?: boolean;
  /** For a registry. Sent in a header of its own; never logged and never part of an error. */
  auth?: RegistryAuth | undefined;
}

/** The Engine API of one engine: dockerode, with deadlines and typed errors. */
export class Engine {
  readonly docker: Docker;
  /** Name or address of the engine's machine; undefined for a local socket. */
  readonly machine: string | undefined;
  /** Called when the engine answers that a container doesn't exist: what is remembered of containers is out of date. */
  onContainerNotFound: (() => void) | undefined;
  private readonly pingTimeoutMs: number;
  private lastPongAt = Number.NEGATIVE_INFINITY;
  private ping: Promise<void> | undefined;

  /**
   * @param readTimeoutMs for a response, from the end of the request
   * @param writeTimeoutMs for the engine to accept a streamed request body
   */
  constructor(
    endpoint: Endpoint,
    readonly readTimeoutMs: number,
    private readonly writeTimeoutMs: number,
  ) {
    this.docker = new Docker(endpoint.options);
    this.machine = endpoint.options.host;
    this.pingTimeoutMs = endpoint.options.agent ? SSH_PING_TIMEOUT_MS : PING_TIMEOUT_MS;
  }

  /**
   * Pings the engine unless it has just responded: a frozen engine accepts connections and never answers.
   * @param maxAgeMs how old its last response may be
   * @throws AppError ENGINE_UNREACHABLE within 700 ms, over SSH within 5 s
   */
  async assertAlive(maxAgeMs = PING_VALID_MS): Promise<void> {
    if (performance.now() - this.lastPongAt < maxAgeMs) return;
    this.ping ??= this.sendPing().finally(() => {
      this.ping = undefined;
    });
    await this.ping;
  }

  /**
   * Waits for a response as long as the engine answers pings.
   * @param operation any but "call" tolerates a few missed pings
   * @throws AppError ENGINE_UNREACHABLE when the engine answers no pings any more
   */
  async whileAlive<T>(answer: Promise<T>, operation: EngineOperation = "call"): Promise<T> {
    const allowed = operation === "call" ? 0 : MAX_MISSED_PINGS;
    for (let misses = 0; !(await settlesBefore(answer, AbortSignal.timeout(SLOW_CALL_MS))); ) {
      const alive = await this.assertAlive(SLOW_CALL_MS).then(
        () => true,
        (error: AppError) => {
          if (misses >= allowed) throw error;
          return false;
        },
      );
      misses = alive ? 0 : misses + 1;
    }
    return answer;
  }

  /** To be called when a connection to the engine broke: the next call pings first. */
  invalidatePing(): void {
    this.lastPongAt = Number.NEGATIVE_INFINITY;
  }

  /**
   * Makes one call of dockerode. Its requests end at the deadline, also those of methods of dockerode that take no signal.
   * @param timeoutMs for the whole call
   * @throws AppError for every error of the engine; ENGINE_TIMEOUT at the deadline
   */
  call<T>(call: (docker: Docker) => Promise<T>, operation: EngineOperation = "call", timeoutMs = this.readTimeoutMs): Promise<T> {
    const deadline = AbortSignal.timeout(timeoutMs);
    return measure("engine", operation, () => this.withinDeadline(call(dockerWithin(this.docker, deadline)), deadline, operation));
  }

  /**
   * Makes one call of dockerode that sends a stream: the read timeout begins when all of it is sent.
   * @param body destroyed afterwards, also after an error
   * @throws AppError for every error of the engine; ENGINE_TIMEOUT at either deadline
   */
  async send<T>(body: Readable, call: (docker: Docker) => Promise<T>, operation: EngineOperation): Promise<T> {
    const timeout = new AbortController();
    const abort = () => timeout.abort();
    let timer = setTimeout(abort, this.writeTimeoutMs);
    const sent = () => {
      clearTimeout(timer);
      timer = setTimeout(abort, this.readTimeoutMs);
    };
    body.once("end", sent);
    try {
      const within = dockerWithin(this.docker, timeout.signal);
      return await measure("engine", operation, () => this.withinDeadline(call(within), timeout.signal, operation));
    } finally {
      clearTimeout(timer);
      body.off("end", sent).destroy();
    }
  }

  /**
   * Creates a container.
   * @param removeLate called when a create that was answered ENGINE_UNREACHABLE or ENGINE_TIMEOUT has ended: the container may exist
   * @returns its id
   * @throws AppError for every error of the engine
   */
  async createContainer(options: ContainerCreateOptions, operation: EngineOperation, removeLate: () => void): Promise<string> {
    const { name, platform, ...body } = options;
    const query = { ...(name ? { name } : {}), ...(platform ? { platform } : {}) };
    // Only its own response tells that a create has ended, so the deadline doesn't break the connection.
    const abortSignal = new AbortController().signal;
    let ended: Promise<unknown> = Promise.resolve();
    try {
      const created = await this.call((docker) => {
        const creating = docker.createContainer({ ...separated(query, body), abortSignal });
        ended = creating.catch(() => undefined);
        return creating;
      }, operation);
      return created.id;
    } catch (error) {
      if (isUnavailable(error)) void ended.then(removeLate);
      throw error;
    }
  }

  /**
   * Creates a volume unless it exists.
   * @throws AppError for every error of the engine
   */
  async createVolume(options: VolumeCreateOptions, operation: EngineOperation): Promise<void> {
    await this.call((docker) => docker.createVolume(separated({}, options)), operation);
  }

  /**
   * @param filters of the Engine API; its `name` also matches parts of names
   * @throws AppError for every error of the engine
   */
  async listVolumes(filters?: Record<string, string[]>): Promise<VolumeInspectInfo[]> {
    const { Volumes } = await this.call((docker) => docker.listVolumes(filters && { filters }));
    // An engine without volumes may send null.
    return Volumes ?? [];
  }

  /**
   * Waits for the result of a call as long as the engine answers pings, and until the deadline.
   * @throws AppError ENGINE_UNREACHABLE if the engine answers no pings; else ENGINE_TIMEOUT at the deadline
   */
  async withinDeadline<T>(answer: Promise<T>, deadline: AbortSignal, operation: EngineOperation): Promise<T> {
    try {
      if (await this.whileAlive(settlesBefore(answer, deadline), operation)) return await answer;
    } catch (error) {
      if (!deadline.aborted) throw this.toTypedError(error, operation);
    }
    await this.assertAlive(0);
    throw new AppError("ENGINE_TIMEOUT");
  }

  /**
   * Makes a call whose response body is a stream; resolves with its headers.
   * @param method HTTP method
   * @param path of the Engine API, without query
   * @returns the response; destroying it closes the connection
   * @throws AppError for every error of the engine
   */
  async stream(method: string, path: string, options: StreamOptions = {}): Promise<IncomingMessage> {
    const response = (await this.open(method, path, options)) as IncomingMessage;
    if (options.isFinite) {
      const reasonOf = () =>
        this.assertAlive(0).then(
          () => new AppError("ENGINE_TIMEOUT"),
          (reason: AppError) => reason,
        );
      breakOffWhenStalled(response, this.readTimeoutMs, reasonOf);
    }
    return response;
  }

  /**
   * Opens a two-way stream, such as an exec's or an attach with standard input: a connection that the engine upgrades. Only such a
   * connection can be half-closed, which is the end of standard input.
   * @param path of the Engine API, without query
   * @throws AppError for every error of the engine; ENGINE_ERROR if a proxy before it doesn't pass the upgrade on
   */
  async hijack(path: string, options: StreamOptions = {}): Promise<Duplex> {
    // dockerode would send an empty body in chunks. Some proxies pass the upgrade on only if the request has no body.
    const file = Buffer.from(options.body ? JSON.stringify(options.body) : "");
    const answer = await this.open("POST", path, options, { hijack: true, file, headers: { "Content-Type": "application/json" } });
    if (answer instanceof Duplex) return answer;
    answer.destroy();
    throw new AppError("ENGINE_ERROR", { message: UPGRADE_LOST });
  }

  /** Resolves with the head of the response; the deadline doesn't count for what follows it. */
  private async open(method: string, path: string, options: StreamOptions, upgrade: object = {}): Promise<IncomingMessage | Duplex> {
    const { query, body, signal, auth, operation = "call" } = options;
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), this.readTimeoutMs);
    const abortSignal = signal ? AbortSignal.any([signal, timeout.signal]) : timeout.signal;
    const authconfig = auth && { authconfig: auth };
    const given = Object.fromEntries(Object.entries(query ?? {}).filter(([, value]) => value !== undefined));
    const parts = { _query: given, _body: body ?? {} };
    try {
      const dial = () => this.dial({ method, path: `${path}?`, abortSignal, ...authconfig, ...upgrade, options: parts });
      return await measure("engine", operation, () => this.withinDeadline(dial(), abortSignal, operation));
    } catch (error) {
      timeout.abort();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  private async sendPing(): Promise<void> {
    try {
      const answer = await this.dial({ method: "GET", path: "/_ping", abortSignal: AbortSignal.timeout(this.pingTimeoutMs) });
      answer.resume();
    } catch (error) {
      throw this.toTypedError(error);
    }
    this.lastPongAt = performance.now();
  }

  private dial(request: Omit<DialOptions, "statusCodes">): Promise<IncomingMessage | Duplex> {
    const target = { ...request, isStream: true, statusCodes: { 200: true, 204: true } };
    return new Promise((resolve, reject) => {
      this.docker.modem.dial(target, (error: unknown, answer: unknown) => {
        if (error) reject(error);
        else resolve(answer as IncomingMessage | Duplex);
      });
    });
  }

  private toTypedError(error: unknown, operation?: EngineOperation): AppError {
    const appError = toAppErrorFromEngine(error, operation);
    if (isUnavailable(appError)) this.invalidatePing();
    if (appError.code === "CONTAINER_NOT_FOUND") this.onContainerNotFound?.();
    return appError;
  }
}

/** A client of the same engine that gives every request a deadline, since not all methods of dockerode pass a signal on. */
function dockerWithin(docker: Docker, deadline: AbortSignal): Docker {
  const modem = Object.create(docker.modem);
  modem.dial = (request: DialOptions, callback: Parameters<typeof docker.modem.dial>[1]) =>
    docker.modem.dial({ ...request, abortSignal: request.abortSignal ?? deadline }, callback);
  return new Docker({ modem } as object);
}

/** Options that dockerode puts into URL and body as given; else it puts all of them into both, and URLs are logged on the way. */
function separated(query: object, body: object): object {
  return { _query: query, _body: body };
}
