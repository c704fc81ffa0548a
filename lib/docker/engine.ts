import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import Docker from "dockerode";
import { type AppError, isUnavailable } from "../errors";
import { settlesBefore } from "../support/settles-before";
import type { Endpoint } from "./endpoint";
import { type EngineOperation, toAppErrorFromEngine } from "./engine-errors";

/** An engine that hasn't answered a ping in this time (ms) is not asked anything more: the client gets its 503 within a second. */
const PING_TIMEOUT_MS = 700;
/** An answered ping counts for so long (ms). */
const PING_VALID_MS = 1000;
/** An answer that takes longer than this (ms) is doubted: from then on the engine must answer pings meanwhile. */
const SLOW_CALL_MS = 150;
/** Pings in a row that it may miss while it does something that can't be taken back lightly. */
const MAX_MISSED_PINGS = 5;

/** A caller's login at a registry. */
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
  /** What goes wrong with it is the request's fault rather than the engine's. */
  operation?: EngineOperation;
  /** For a registry: goes out in a header of its own, and into no log and no error. */
  auth?: RegistryAuth | undefined;
}

/** The Engine API of one engine: dockerode, with deadlines and typed errors. */
export class Engine {
  readonly docker: Docker;
  /** Name or address of its machine, if it is reached over a network. */
  readonly machine: string | undefined;
  private lastPongAt = Number.NEGATIVE_INFINITY;
  private ping: Promise<void> | undefined;

  /**
   * @param endpoint where it is
   * @param readTimeoutMs ms that an answer may take
   * @param writeTimeoutMs ms that it may take to accept what is sent before
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
   * Makes sure that the engine answers, also where it takes connections and then says nothing.
   * @param age ms that its last sign of life may be old
   * @throws AppError ENGINE_UNREACHABLE within 700 ms
   */
  async assertAlive(age = PING_VALID_MS): Promise<void> {
    if (performance.now() - this.lastPongAt < age) return;
    this.ping ??= this.sendPing().finally(() => {
      this.ping = undefined;
    });
    await this.ping;
  }

  /**
   * Waits for an answer for as long as the engine lives.
   * @param during what it does: at a create or a start an engine under load is given more time
   * @throws AppError ENGINE_UNREACHABLE soon after the engine has fallen silent
   */
  async whileAlive<T>(answer: Promise<T>, during: EngineOperation = "call"): Promise<T> {
    const allowed = during === "call" ? 0 : MAX_MISSED_PINGS;
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

  /** To be called when the connection to the engine was lost: the next request asks again. */
  invalidatePing(): void {
    this.lastPongAt = Number.NEGATIVE_INFINITY;
  }

  private async sendPing(): Promise<void> {
    const answer = await this.dial("GET", "/_ping", { signal: AbortSignal.timeout(PING_TIMEOUT_MS) });
    answer.resume();
    this.lastPongAt = performance.now();
  }

  /**
   * One call of dockerode, with the deadline of an answer.
   * @param call gets the signal that it must pass on
   * @throws AppError for whatever the engine said
   */
  call<T>(call: (docker: Docker, abortSignal: AbortSignal) => Promise<T>, during: EngineOperation = "call"): Promise<T> {
    return this.withTypedErrors(call(this.docker, AbortSignal.timeout(this.readTimeoutMs)), during);
  }

  /**
   * The same, for a call that sends a stream: the deadline of the answer begins when all of it is sent.
   * @param body is at its end afterwards, whatever comes
   */
  async send<T>(body: Readable, call: (docker: Docker, abortSignal: AbortSignal) => Promise<T>, during: EngineOperation): Promise<T> {
    const late = new AbortController();
    const abort = () => late.abort();
    let timer = setTimeout(abort, this.writeTimeoutMs);
    const sent = () => {
      clearTimeout(timer);
      timer = setTimeout(abort, this.readTimeoutMs);
    };
    body.once("end", sent);
    try {
      return await this.withTypedErrors(call(this.docker, late.signal), during);
    } finally {
      clearTimeout(timer);
      body.off("end", sent).destroy();
    }
  }

  private async withTypedErrors<T>(answer: Promise<T>, during: EngineOperation): Promise<T> {
    try {
      return await this.whileAlive(answer, during);
    } catch (error) {
      throw this.toTypedError(error, during);
    }
  }

  /**
   * A call whose answer is a stream; resolves as soon as the headers are there.
   * @param method of HTTP
   * @param path of the Engine API, without query
   * @returns the answer; destroying it ends the conversation
   * @throws AppError for whatever the engine said instead
   */
  stream(method: string, path: string, options: StreamOptions = {}): Promise<IncomingMessage> {
    return this.whileAlive(this.dial(method, path, options), options.operation);
  }

  private dial(method: string, path: string, options: StreamOptions): Promise<IncomingMessage> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), this.readTimeoutMs);
    const signal = options.signal ? AbortSignal.any([options.signal, late.signal]) : late.signal;
    return new Promise<IncomingMessage>((resolve, reject) => {
      const statusCodes = { 200: true, 204: true };
      const query = Object.fromEntries(Object.entries(options.query ?? {}).filter(([, value]) => value !== undefined));
      const authconfig = options.auth && { authconfig: options.auth };
      const what = { path: `${path}?`, method, isStream: true, statusCodes, abortSignal: signal };
      const request = { ...what, ...authconfig, options: { _query: query, _body: {} } };
      this.docker.modem.dial(request, (error: unknown, answer: unknown) => {
        clearTimeout(timer);
        if (error) reject(this.toTypedError(error, options.operation));
        else resolve(answer as IncomingMessage);
      });
    });
  }

  private toTypedError(error: unknown, during?: EngineOperation): AppError {
    const typed = toAppErrorFromEngine(error, during);
    if (isUnavailable(typed)) this.invalidatePing();
    return typed;
  }
}
