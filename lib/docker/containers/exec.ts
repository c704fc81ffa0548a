import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { Engine } from "../engine";
import { type CollectedOutput, collectOutput } from "./collect-output";

export interface ExecSpec {
  command: string[];
  tty: boolean;
  /** standard input; none if absent */
  stdin?: Buffer | undefined;
  env: Record<string, string>;
  workdir?: string | undefined;
  user?: string | undefined;
}

export interface ExecResult extends CollectedOutput {
  exec_id: string;
  /** null while the command runs */
  exit_code: number | null;
}

/**
 * Runs a command in a running container and waits for its end.
 * @param id full id of the container
 * @param limit bytes kept of each output stream
 * @param waitSignal ends the wait; the command goes on
 * @throws AppError NOT_RUNNING, CONTAINER_NOT_FOUND, INVALID_SPEC
 */
export async function exec(engine: Engine, id: string, spec: ExecSpec, limit: number, waitSignal: AbortSignal): Promise<ExecResult> {
  const created = await engine.call((docker) =>
    docker.getContainer(id).exec({
      Cmd: spec.command,
      Tty: spec.tty,
      AttachStdin: spec.stdin !== undefined,
      AttachStdout: true,
      AttachStderr: true,
      Env: Object.entries(spec.env).map(([name, value]) => `${name}=${value}`),
      ...(spec.workdir === undefined ? {} : { WorkingDir: spec.workdir }),
      ...(spec.user === undefined ? {} : { User: spec.user }),
    }),
  );
  const stdin = spec.stdin;
  const path = `/exec/${created.id}/start`;
  // The end of the wait doesn't end the start: a command that has been given to the engine runs even if nobody waits for it.
  const options = { body: { Tty: spec.tty }, operation: "start" as const };
  const stream = stdin === undefined ? await engine.stream("POST", path, options) : await engine.hijack(path, options);
  if (stdin !== undefined) writeStdin(stream as Duplex, stdin, spec.tty);
  const collected = await collectOutput(stream, spec.tty, limit, waitSignal);
  return { ...collected, exec_id: created.id, exit_code: collected.ended ? await execExitCode(engine, created.id) : null };
}

const CONTROL_D = "\x04";

function writeStdin(stream: Duplex, stdin: Buffer, tty: boolean): void {
  // A command may exit without reading all of its input (EPIPE); its output is still read.
  stream.on("error", () => undefined);
  if (!tty) return void stream.end(stdin);
  // With a terminal the engine closes the output when the input closes, so the end of input is typed instead: Control-D at the start of a
  // line ends the input, elsewhere it only submits the line.
  const atLineStart = stdin.length === 0 || stdin.at(-1) === 10;
  stream.write(Buffer.concat([stdin, Buffer.from(atLineStart ? CONTROL_D : CONTROL_D + CONTROL_D)]));
}

/** The exit code of an exec whose output has ended; null if the command still runs. */
export async function execExitCode(engine: Engine, id: string): Promise<number | null> {
  // The output can end shortly before the engine has recorded the exit.
  for (let pause = 1; pause < 300; pause *= 2) {
    const state = await engine.call((docker) => docker.getExec(id).inspect());
    if (!state.Running) return state.ExitCode;
    await sleep(pause);
  }
  return null;
}
