import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/** Result of a finished command: its exit code (null if a signal ended it) and all its output as text. */
export interface CommandResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

/**
 * Runs a command without a shell and waits for its end; a non-zero exit code is a result, not an error.
 * `input` is written to its standard input, which is otherwise empty, and ends then unless it is `inputStaysOpen`; `env` replaces the
 * whole environment. Rejects only if the command cannot be started, for instance because it is not installed.
 */
export function run(
  command: string,
  args: string[],
  options: { input?: string | Buffer | undefined; inputStaysOpen?: boolean; env?: NodeJS.ProcessEnv } = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: options.env ?? process.env });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
    // EPIPE: the command ended before it read its input, and its exit code is the result.
    child.stdin.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") reject(error);
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() }));
    if (options.inputStaysOpen) child.stdin.write(options.input ?? "");
    else child.stdin.end(options.input);
  });
}

/** Like `run`, but throws an Error with the command and its last output lines unless it exits with 0. Returns stdout. */
export async function runOrThrow(
  command: string,
  args: string[],
  options: { input?: string | Buffer | undefined; env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  const { code, stdout, stderr } = await run(command, args, options);
  if (code !== 0) {
    throw new Error(`${command} ${args.join(" ")} exited with ${code}:\n${lastLines(stderr || stdout)}`);
  }
  return stdout;
}

/** The last `count` non-empty lines of a text. */
export function lastLines(text: string, count = 15): string {
  return text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .slice(-count)
    .join("\n");
}

/** The last lines of a log file, or a note that it can't be read. */
export function logTail(file: string): string {
  try {
    return lastLines(readFileSync(file, "utf8"));
  } catch (error) {
    return `(no log: ${(error as Error).message})`;
  }
}

/**
 * Calls `probe` until it returns true. Resolves to false if it has not within `timeoutMs`. The intervals grow from 10 to 150 ms,
 * because a probe that starts a process costs CPU time on every call.
 */
export async function until(probe: () => boolean | Promise<boolean>, timeoutMs: number): Promise<boolean> {
  const begin = performance.now();
  while (!(await probe())) {
    const waitedMs = performance.now() - begin;
    if (waitedMs > timeoutMs) return false;
    await sleep(Math.min(10 + waitedMs / 8, 150));
  }
  return true;
}

/** Whether an HTTP GET is answered, with any status, within 2 s. Never rejects. */
export function answers(target: http.RequestOptions): Promise<boolean> {
  return new Promise((resolve) => {
    const request = http.get({ ...target, timeout: 2_000, agent: false }, (response) => {
      response.resume();
      resolve(true);
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(false));
  });
}
