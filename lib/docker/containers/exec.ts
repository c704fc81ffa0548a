import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { Engine } from "../engine";
import { type CollectedOutput, collectOutput } from "./collect-output";

export interface ExecSpec {
  command: string[];
  tty: boolean;
  /** what the command reads; it gets no standard input if absent */
  stdin?: Buffer | undefined;
  env: Record<string, string>;
  workdir?: string | undefined;
  user?: string | undefined;
}

export interface ExecResult extends CollectedOutput {
  exec_id: string;
  /** null while it runs */
  exit_code: number | null;
}

/**
 * Runs a command in a running container and waits for it.
 * @param id full id of the container
 * @param limit bytes kept of each output stream
 * @param enough ends the wait: the command goes on
 * @throws AppError NOT_RUNNING, CONTAINER_NOT_FOUND, INVALID_SPEC
 */
export async function exec(engine: Engine, id: string, spec: ExecSpec, limit: number, enough: AbortSignal): Promise<ExecResult> {
  const made = await engine.call((docker, abortSignal) =>
    docker.getContainer(id).exec({
      Cmd: spec.command,
      Tty: spec.tty,
      AttachStdin: spec.stdin !== undefined,
      AttachStdout: true,
      AttachStderr: true,
      Env: Object.entries(spec.env).map(([name, value]) => `${name}=${value}`),
      ...(spec.workdir === undefined ? {} : { WorkingDir: spec.workdir }),
      ...(spec.user === undefined ? {} : { User: spec.user }),
      abortSignal,
    }),
  );
  const stdin = spec.stdin;
  const stream = await engine.call(
    () => made.start({ Tty: spec.tty, hijack: stdin !== undefined, stdin: stdin !== undefined, abortSignal: enough }),
    "start",
  );
  if (stdin !== undefined) writeStdin(stream, stdin, spec.tty);
  const collected = await collectOutput(stream, spec.tty, limit, enough);
  return { ...collected, exec_id: made.id, exit_code: collected.ended ? await execExitCode(engine, made.id) : null };
}

const CONTROL_D = "\x04";

function writeStdin(stream: Duplex, stdin: Buffer, tty: boolean): void {
  // A command that doesn't read to the end closes its side; what it printed until then is still read.
  stream.on("error", () => undefined);
  if (!tty) return void stream.end(stdin);
  // With a terminal the engine ends the output as soon as the input ends, so its end is said as at a keyboard:
  // the first Control-D hands over a line that is begun, one at a line's beginning is the end.
  const atLineStart = stdin.length === 0 || stdin.at(-1) === 10;
  stream.write(Buffer.concat([stdin, Buffer.from(atLineStart ? CONTROL_D : CONTROL_D + CONTROL_D)]));
}

/** The exit code of an exec whose output has ended; null if it runs on. */
export async function execExitCode(engine: Engine, id: string): Promise<number | null> {
  // The output can end a moment before the engine has noted the exit.
  for (let pause = 1; pause < 300; pause *= 2) {
    const state = await engine.call((docker, abortSignal) => docker.getExec(id).inspect({ abortSignal }));
    if (!state.Running) return state.ExitCode;
    await sleep(pause);
  }
  return null;
}
