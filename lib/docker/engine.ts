import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import Docker from "dockerode";
import { type AppError, isUnavailable } from "../errors";
import { settlesBefore } from "../support/settles-before";
import type { Endpoint } from "./endpoint";
import { type EngineOperation, toAppErrorFromEngine } from "./engine-errors";

/** An engine that does not answer a ping in this time counts as unreachable, so that clients get their 503 within a second. */
const PING_TIMEOUT_MS = 700;
/** A response of the engine proves for this time that it is alive. */
const PING_VALID_MS = 1000;
/** A call that takes longer than this goes on only while the engine answers pings. */
const SLOW_CALL_MS = 150;
/** Pings in a row that may fail during a create or a start: under load these are slow, and giving up leaves a container behind. */
const MAX_MISSED_PINGS = 5;

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
  signal?: AbortSignal;
  /** By which errors are mapped; "call" if absent. */
  operation?: EngineOperation;
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
  }

  /**
   * Pings the engine unless it has just responded: a frozen engine accepts connections and never answers.
   * @param maxAgeMs how old its last response may be
   * @throws AppError ENGINE_UNREACHABLE within 700 ms
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

  private async sendPing(): Promise<void> {
    const answer = await this.dial("GET", "/_ping", { signal: AbortSignal.timeout(PING_TIMEOUT_MS) });
    answer.resume();
    this.lastPongAt = performance.now();
  }

  /**
   * Makes one call of dockerode with the read timeout.
   * @param call must pass the signal on to dockerode
   * @throws AppError for every error of the engine
   */
  call<T>(call: (docker: Docker, abortSignal: AbortSignal) => Promise<T>, operation: EngineOperation = "call"): Promise<T> {
    return this.withTypedErrors(call(this.docker, AbortSignal.timeout(this.readTimeoutMs)), operation);
  }

  /**
   * Makes one call of dockerode that sends a stream: the read timeout begins when all of it is sent.
   * @param body destroyed afterwards, also after an error
   * @throws AppError for every error of the engine
   */
  async send<T>(body: Readable, call: (docker: Docker, abortSignal: AbortSignal) => Promise<T>, operation: EngineOperation): Promise<T> {
    const timeout = new AbortController();
    const abort = () => timeout.abort();
    let timer = setTimeout(abort, this.writeTimeoutMs);
    const sent = () => {
      clearTimeout(timer);
      timer = setTimeout(abort, this.readTimeoutMs);
    };
    body.once("end", sent);
    try {
      return await this.withTypedErrors(call(this.docker, timeout.signal), operation);
    } finally {
      clearTimeout(timer);
      body.off("end", sent).destroy();
    }
  }

  private async withTypedErrors<T>(answer: Promise<T>, operation: EngineOperation): Promise<T> {
    try {
      return await this.whileAlive(answer, operation);
    } catch (error) {
      throw this.toTypedError(error, operation);
    }
  }

  /**
   * Makes a call whose response body is a stream; resolves with its headers.
   * @param method HTTP method
   * @param path of the Engine API, without query
   * @returns the response; destroying it closes the connection
   * @throws AppError for every error of the engine
   */
  stream(method: string, path: string, options: StreamOptions = {}): Promise<IncomingMessage> {
    return this.whileAlive(this.dial(method, path, options), options.operation);
  }

  private dial(method: string, path: string, options: StreamOptions): Promise<IncomingMessage> {
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), this.readTimeoutMs);
    const signal = options.signal ? AbortSignal.any([options.signal, timeout.signal]) : timeout.signal;
    return new Promise<IncomingMessage>((resolve, reject) => {
      const statusCodes = { 200: true, 204: true };
      const query = Object.fromEntries(Object.entries(options.query ?? {}).filter(([, value]) => value !== undefined));
      const authconfig = options.auth && { authconfig: options.auth };
      const target = { path: `${path}?`, method, isStream: true, statusCodes, abortSignal: signal };
      const request = { ...target, ...authconfig, options: { _query: query, _body: {} } };
      this.docker.modem.dial(request, (error: unknown, answer: unknown) => {
        clearTimeout(timer);
        if (error) reject(this.toTypedError(error, options.operation));
        else resolve(answer as IncomingMessage);
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
