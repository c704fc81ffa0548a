import http from "node:http";
import https from "node:https";
import type net from "node:net";
import type tls from "node:tls";
import { AppError } from "../errors";
import type { Endpoint } from "./endpoint";
import type { Engine } from "./engine";
import { toAppErrorFromEngine } from "./engine-errors";

/** A version of the Engine API: the NN of 1.NN. */
export type MinorVersion = number;

/** A response of the engine, read whole. */
export interface RawAnswer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: Buffer;
}

export interface RawRequest {
  method: string;
  /** of the Engine API, with its version and query */
  path: string;
  headers?: http.OutgoingHttpHeaders;
  body?: Buffer | undefined;
  signal?: AbortSignal | undefined;
}

/** Of these the engine adds up the sizes of files: that takes as long as there are files. */
const READS_OF_SIZES = /^\/v[\d.]+\/system\/df\b|[?&]size=/;

/** Idle connections are closed after this time; those in use don't end by it. */
const IDLE_TIMEOUT_MS = 10_000;

/** An engine can be replaced by a newer one while this program runs. */
const VERSION_CACHE_MS = 30_000;

/** The engine's own HTTP interface, for requests whose responses clients get as the engine wrote them. */
export class RawEngine {
  private readonly options: Endpoint["options"];
  private readonly agent: http.Agent;
  private versions: { range: Promise<{ min: MinorVersion; max: MinorVersion }>; at: number } | undefined;

  constructor(
    endpoint: Endpoint,
    private readonly engine: Engine,
  ) {
    this.options = endpoint.options;
    const agentOptions = { keepAlive: true, maxFreeSockets: 16, timeout: IDLE_TIMEOUT_MS };
    this.agent = this.options.protocol === "https" ? new https.Agent(agentOptions) : new http.Agent(agentOptions);
  }

  /**
   * How to connect to the engine.
   * @throws AppError ENGINE_ERROR if it is reached over SSH
   */
  connectOptions(): net.NetConnectOpts | (tls.ConnectionOptions & { secure: true }) {
    const { protocol, socketPath, host, port, ca, cert, key, agent } = this.options;
    if (agent) throw new AppError("ENGINE_ERROR", { message: "The Docker API can't be passed on to an engine that is reached over SSH" });
    if (typeof socketPath === "string") return { path: socketPath };
    const address = { host: host as string, port: Number(port) };
    if (protocol !== "https") return address;
    return { ...address, secure: true, servername: host, ca, cert, key } as tls.ConnectionOptions & { secure: true };
  }

  /**
   * Sends a request and reads the whole response, whatever its status, as long as the engine answers pings. A change, such as a prune or
   * a pull, takes as long as it takes, as do sizes of files; what else only reads has a deadline.
   * @throws AppError ENGINE_UNREACHABLE; ENGINE_TIMEOUT at the deadline
   */
  async send(request: RawRequest): Promise<RawAnswer> {
    await this.engine.assertAlive();
    if (request.method === "GET" && !READS_OF_SIZES.test(request.path)) {
      const signal = AbortSignal.timeout(this.engine.readTimeoutMs);
      return this.engine.withinDeadline(this.exchange({ ...request, signal }), signal, "call");
    }
    const answer = this.exchange(request);
    try {
      return await this.engine.whileAlive(answer);
    } catch (error) {
      answer.catch(() => undefined);
      throw toAppErrorFromEngine(error);
    }
  }

  /** Opens a response whose body is read as a stream. */
  open({ method, path, headers = {}, body, signal }: RawRequest): Promise<http.IncomingMessage> {
    const { secure, ...connect } = this.connectOptions() as { secure?: true; path?: string };
    const target = connect.path === undefined ? connect : { socketPath: connect.path };
    const length = body ? { "Content-Length": body.length } : {};
    return new Promise((resolve, reject) => {
      const options = { ...target, method, path, agent: this.agent, headers: { Host: "docker", ...headers, ...length } };
      const request = (secure ? https : http).request({ ...options, ...(signal ? { signal } : {}) }, resolve);
      request.on("error", reject);
      request.end(body);
    });
  }

  private async exchange(request: RawRequest): Promise<RawAnswer> {
    const response = await this.open(request);
    // `buffer` of node:stream/consumers copies through a Blob.
    const body = Buffer.concat(await response.toArray());
    return { status: response.statusCode ?? 502, headers: response.headers, body };
  }

  /**
   * The versions that the engine takes.
   * @throws AppError ENGINE_UNREACHABLE, ENGINE_TIMEOUT, ENGINE_ERROR
   */
  async versionRange(): Promise<{ min: MinorVersion; max: MinorVersion }> {
    if (!this.versions || performance.now() - this.versions.at > VERSION_CACHE_MS) {
      const versions = { range: this.readVersions(), at: performance.now() };
      this.versions = versions;
      versions.range.catch(() => {
        if (this.versions === versions) this.versions = undefined;
      });
    }
    return this.versions.range;
  }

  private async readVersions(): Promise<{ min: MinorVersion; max: MinorVersion }> {
    const { body } = await this.send({ method: "GET", path: "/version" });
    const { ApiVersion = "", MinAPIVersion = "1.24" } = JSON.parse(body.toString()) as Record<string, string>;
    const minor = (text: string) => Number(/^1\.(\d+)$/.exec(text)?.[1]);
    const range = { min: minor(MinAPIVersion), max: minor(ApiVersion) };
    if (Number.isNaN(range.min) || Number.isNaN(range.max))
      throw new AppError("ENGINE_ERROR", { message: `The engine's API version is ${ApiVersion}` });
    return range;
  }

  /**
   * The version to ask this engine in.
   * @param wanted the client's; the newest if absent
   */
  async versionFor(wanted: MinorVersion | undefined): Promise<MinorVersion> {
    const { min, max } = await this.versionRange();
    return Math.max(min, Math.min(wanted ?? max, max));
  }

  /**
   * Sees to it that an engine which no longer answers doesn't keep a client waiting.
   * @returns stops watching
   */
  watch(onDead: (error: Error) => void): () => void {
    let missed = 0;
    const timer = setInterval(() => {
      this.engine.assertAlive(0).then(
        () => {
          missed = 0;
        },
        (error: Error) => {
          missed += 1;
          if (missed < MAX_MISSED_PINGS) return;
          clearInterval(timer);
          onDead(error);
        },
      );
    }, WATCH_INTERVAL_MS).unref();
    return () => clearInterval(timer);
  }
}

const WATCH_INTERVAL_MS = 1000;
/** Pings in a row that may fail: under load they are slow. */
const MAX_MISSED_PINGS = 4;
