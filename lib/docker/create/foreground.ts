import type { IncomingMessage } from "node:http";
import { addAbortSignal } from "node:stream";
import { text } from "node:stream/consumers";
import { AppError, isNotFound } from "../../errors";
import { settlesBefore } from "../../support/settles-before";
import { signalWithin } from "../../support/signal-within";
import { type CollectedOutput, collectOutput } from "../containers/collect-output";
import { parseExitCode } from "../containers/parse-exit-code";
import type { Engine } from "../engine";
import { toAppErrorFromEngine } from "../engine-errors";

/** After the exit, output that is still on its way is collected until none has come for this time. */
const OUTPUT_GRACE_MS = 1000;
/** After the end of the output, the engine has this time to report the exit before the container is inspected. */
const EXIT_GRACE_MS = 1000;
/** After the exit, the engine has this time to remove the container before the run is answered nevertheless. */
const REMOVAL_GRACE_MS = 10_000;

/** The connections by which a foreground run learns of its output and its end. */
export interface ForegroundStreams {
  output: IncomingMessage;
  exit: IncomingMessage;
  /** only for a container that the engine removes at its end */
  removal: IncomingMessage | undefined;
}

export type ForegroundEnd = Pick<CollectedOutput, "stdout" | "stderr"> & { exit_code: number };

/**
 * Attaches to a container. To be called before its start: a container that exits at once would not be noticed otherwise.
 * @param id full id
 * @param remove whether the engine removes it at its end
 */
export async function openForeground(engine: Engine, id: string, remove: boolean): Promise<ForegroundStreams> {
  const wait = (condition: string) => engine.stream("POST", `/containers/${id}/wait`, { query: { condition } });
  return {
    output: await engine.stream("POST", `/containers/${id}/attach`, { query: { stream: true, stdout: true, stderr: true } }),
    exit: await wait("next-exit"),
    removal: remove ? await wait("removed") : undefined,
  };
}

/**
 * Waits for the end of a started container. The output's end and the engine's report of the exit can each fail to come, so whichever
 * comes first gives the other a short time.
 * @param outputLimit bytes kept of each output stream
 * @returns null if `waitSignal` aborted before the end
 * @throws AppError ENGINE_UNREACHABLE if a connection breaks
 */
export async function awaitForeground(
  engine: Engine,
  id: string,
  { output, exit, removal }: ForegroundStreams,
  { outputLimit, waitSignal }: { outputLimit: number; waitSignal: AbortSignal },
  removalGraceMs = REMOVAL_GRACE_MS,
): Promise<ForegroundEnd | null> {
  const quiet = new AbortController();
  let quietTimer: NodeJS.Timeout | undefined;
  let reportedCode: number | undefined;
  let chunks = 0;
  const stopWhenQuiet = () => {
    const before = chunks;
    // A process that was frozen runs its timers first: what the socket holds by then is read before the immediate.
    const stop = () => setImmediate(() => (chunks === before ? quiet.abort() : stopWhenQuiet()));
    quietTimer = setTimeout(stop, OUTPUT_GRACE_MS);
  };
  const removed = removal && text(removal).catch(() => undefined);
  const exited = readExitCode(exit);
  exited.then(
    (code) => {
      reportedCode = code;
      stopWhenQuiet();
    },
    () => undefined,
  );
  try {
    const collectSignal = AbortSignal.any([waitSignal, quiet.signal]);
    const { stdout, stderr } = await collectOutput(output, false, outputLimit, collectSignal, () => {
      chunks += 1;
    });
    const exit_code = reportedCode ?? (await exitCodeAfterOutput(engine, id, exited, waitSignal));
    if (exit_code === null) return null;
    // An engine that did not report the exit will not report the removal either.
    if (removed && reportedCode !== undefined) await settlesBefore(removed, signalWithin(removalGraceMs, waitSignal));
    return { stdout, stderr, exit_code };
  } finally {
    clearTimeout(quietTimer);
    for (const stream of [output, exit, removal]) stream?.destroy();
  }
}

async function readExitCode(exit: IncomingMessage): Promise<number> {
  const body = await text(exit).catch((error) => {
    throw toAppErrorFromEngine(error);
  });
  return parseExitCode(body);
}

/** The reported exit code, or, while none is reported, that of a container that no longer runs; null if `waitSignal` aborts first. */
async function exitCodeAfterOutput(engine: Engine, id: string, exited: Promise<number>, waitSignal: AbortSignal): Promise<number | null> {
  while (!waitSignal.aborted) {
    if (await settlesBefore(exited, signalWithin(EXIT_GRACE_MS, waitSignal))) return exited;
    if (waitSignal.aborted) break;
    // A program can close its output and run on.
    const code = await inspectExitCode(engine, id);
    if (code !== undefined) return code;
  }
  return null;
}

async function inspectExitCode(engine: Engine, id: string): Promise<number | undefined> {
  try {
    const { State } = await engine.call((docker) => docker.getContainer(id).inspect());
    return State.Running || State.Restarting ? undefined : State.ExitCode;
  } catch (error) {
    if (!isNotFound(error)) throw error;
    return exitCodeFromEvents(engine, id);
  }
}

/**
 * The exit code of a container that is already removed, from the events that the engine keeps (the last 256).
 * @throws AppError ENGINE_ERROR if it is not among them
 */
async function exitCodeFromEvents(engine: Engine, id: string): Promise<number> {
  const filters = JSON.stringify({ type: ["container"], event: ["die"], container: [id] });
  const events = await engine.stream("GET", "/events", { query: { since: 1, filters } });
  // After the past events the engine sends new ones, without end.
  const signal = AbortSignal.timeout(EXIT_GRACE_MS);
  let received = "";
  try {
    for await (const chunk of addAbortSignal(signal, events)) {
      received += String(chunk);
      const [line, rest] = received.split("\n", 2);
      if (line === undefined || rest === undefined) continue;
      const { Actor } = JSON.parse(line) as { Actor: { Attributes: { exitCode: string } } };
      return Number(Actor.Attributes.exitCode);
    }
  } catch (error) {
    if (!signal.aborted) throw toAppErrorFromEngine(error);
  }
  throw new AppError("ENGINE_ERROR", { message: `The container ${id} has ended, and the engine does not tell its exit code` });
}
