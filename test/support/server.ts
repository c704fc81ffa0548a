import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Daemon, startDaemon } from "../../scripts/daemon";
import { answers } from "../../scripts/process";
import type { Engine } from "./engine";
import { freePorts } from "./ports";

export const PROGRAM = path.resolve(__dirname, "../../dist/bin/docker-server.js");
export const TOKEN = "test-token-Zq7";

export interface TestServer {
  url: string;
  port: number;
  /** Its working folder, with its logs in `logs/`. */
  folder: string;
  process: Daemon;
  /** Sends a request with the token. */
  request(method: string, pathname: string, options?: RequestOptions): Promise<Answer>;
  /** Its standard output and standard error. */
  output(): string;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export interface RequestOptions {
  json?: unknown;
  /** URL-encoded form, as curl's --data sends it. */
  form?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** Sends no token. */
  anonymous?: boolean;
}

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of many shapes
  json: any;
}

/**
 * Starts the built program as its own process. By default it listens on a free port of loopback and has no burst limits.
 * @param options.program another build of it
 * @param options.engine its engine; that of the default socket if absent
 * @param options.args further flags
 * @param options.host address to listen on; loopback if absent
 * @param options.inside command in front of the program, such as `nsenter …`
 */
export async function startServer(
  options: {
    program?: string;
    engine?: Engine;
    args?: string[];
    env?: NodeJS.ProcessEnv;
    port?: number;
    folder?: string;
    host?: string;
    inside?: string[];
  } = {},
): Promise<TestServer> {
  const folder = options.folder ?? mkdtempSync(path.join(tmpdir(), "docker-server-test-"));
  const port = options.port ?? ((await freePorts(1))[0] as number);
  const host = options.host ?? "127.0.0.1";
  const bursts = ["--low_burst=0", "--mid_burst=0", "--high_burst=0"];
  const args = [options.program ?? PROGRAM, "--port", String(port), "--host", host, "--token", TOKEN, ...bursts, ...(options.args ?? [])];
  const { PATH, HOME } = process.env;
  const env = { PATH, HOME: HOME ?? folder, ...(options.engine ? { DOCKER_HOST: options.engine.dockerHost } : {}), ...options.env };
  const inside = [...(options.inside ?? []), process.execPath];
  const logFile = path.join(folder, "output.log");
  const started = await startDaemon({
    command: inside[0] ?? "",
    name: "docker-server",
    args: [...inside.slice(1), ...args],
    env,
    cwd: folder,
    logFile,
    ready: () => answers({ host, port, path: "/health" }),
  });
  const url = `http://${host}:${port}`;
  return {
    url,
    port,
    folder,
    process: started,
    request: (method, pathname, requestOptions) => ask(url, method, pathname, requestOptions),
    output: () => readFileSync(logFile, "utf8"),
    async stop(signal = "SIGTERM") {
      await started.end(signal, 40_000);
      if (options.folder === undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Sends one request with the token and reads the whole response. */
export async function ask(url: string, method: string, pathname: string, options: RequestOptions = {}): Promise<Answer> {
  const headers: Record<string, string> = { ...(options.anonymous ? {} : { Authorization: `Bearer ${TOKEN}` }), ...options.headers };
  let body: string | undefined;
  if (options.json !== undefined) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(options.json);
  } else if (options.form !== undefined) {
    headers["Content-Type"] = "application/x-www-form-urlencoded";
    body = options.form;
  }
  const response = await fetch(url + pathname, {
    method,
    headers,
    ...(body === undefined ? {} : { body }),
    ...(options.signal ? { signal: options.signal } : {}),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: parseJson(text) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
