import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { hasEnded } from "./bed-cleanup";
import { answers, logTail, until } from "./process";

/** A background process, for instance a dockerd or a registry. */
export interface Daemon {
  pid: number;
  running(): boolean;
  /** Sends a signal if it still runs. */
  signal(signal: NodeJS.Signals): void;
  /** Sends a signal and waits for the end of the process; after `timeoutMs` (10 s by default) it is killed with SIGKILL. */
  end(signal?: NodeJS.Signals, timeoutMs?: number): Promise<void>;
}

export interface DaemonOptions {
  command: string;
  /** Its name in messages; the command by default. */
  name?: string;
  args: string[];
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Standard output and standard error are appended to this file. */
  logFile: string;
  /** Whether it is ready to be used. */
  ready(): Promise<boolean>;
  /** Time limit for becoming ready, in ms; 30 s by default. */
  readyTimeoutMs?: number;
}

/**
 * Starts a process in its own session and waits until it is ready.
 * If it ends early or does not become ready in time, kills it and throws an Error with the last lines of its log.
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const log = openSync(options.logFile, "a");
  const child = spawn(options.command, options.args, {
    detached: true,
    stdio: ["ignore", log, log],
    env: options.env ?? process.env,
    cwd: options.cwd,
  });
  closeSync(log);
  child.unref();
  await once(child, "spawn");
  const running = () => child.exitCode === null && child.signalCode === null;
  const send = (signal: NodeJS.Signals) => void child.kill(signal);

  const ready = await until(async () => !running() || (await options.ready()), options.readyTimeoutMs ?? 30_000);
  if (!ready || !running()) {
    child.kill("SIGKILL");
    const state = running() ? "did not become ready" : "ended early";
    throw new Error(`${options.name ?? options.command} ${state}:\n${logTail(options.logFile)}`);
  }
  return {
    pid: child.pid as number,
    running,
    signal: send,
    end: (signal = "SIGTERM", timeoutMs = 10_000) => endProcess(child.pid, send, running, signal, timeoutMs),
  };
}

/** A daemon that another process started. */
export function attachDaemon(pid: number): Daemon {
  const running = () => !hasEnded(pid);
  const signal = (signal: NodeJS.Signals) => {
    if (running()) process.kill(pid, signal);
  };
  return { pid, running, signal, end: (last = "SIGTERM", timeoutMs = 10_000) => endProcess(pid, signal, running, last, timeoutMs) };
}

async function endProcess(
  pid: number | undefined,
  send: (signal: NodeJS.Signals) => void,
  running: () => boolean,
  signal: NodeJS.Signals,
  timeoutMs: number,
): Promise<void> {
  send(signal);
  if (await until(() => !running(), timeoutMs)) return;
  send("SIGKILL");
  if (!(await until(() => !running(), 10_000))) throw new Error(`process ${pid} survived SIGKILL`);
}

/** Starts a dockerd and waits until it answers at `socket`. `command` is `dockerd` by default; `args` follow it. */
export function startDockerd(options: {
  socket: string;
  args: string[];
  logFile: string;
  command?: string[];
  env?: NodeJS.ProcessEnv;
}): Promise<Daemon> {
  const [command = "", ...commandArgs] = options.command ?? ["dockerd"];
  return startDaemon({
    name: "dockerd",
    command,
    args: [...commandArgs, ...options.args],
    logFile: options.logFile,
    env: options.env ?? process.env,
    ready: () => answers({ socketPath: options.socket, path: "/_ping" }),
    // After a kill it first ends the containers that run; on a busy machine that takes long.
    readyTimeoutMs: 120_000,
  });
}
