import type { IncomingMessage } from "node:http";
import type { Duplex, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import type { ContainerList } from "../docker/containers/container-list";
import type { ContainerCreateOptions, Engine } from "../docker/engine";
import { toAppErrorFromEngine } from "../docker/engine-errors";
import { AppError } from "../errors";
import type { Reaper } from "./reaper";

/** What is needed to run containers that leave nothing behind. */
export interface RunDeps {
  engine: Engine;
  containers: ContainerList;
  reaper: Reaper;
}

/** A started container, with its streams. */
export interface AttachedContainer {
  id: string;
  /** a Duplex if its stdin was asked for */
  output: Readable;
  waitStream: Readable;
  /** what the wait for its end answered; empty if the engine went away */
  waitResponse: Promise<string>;
  startedAt: number;
}

export interface AttachedSpec {
  container: ContainerCreateOptions;
  /** whether its stdin is written to */
  stdin: boolean;
  /** ms that it is used at most */
  lifetimeMs: number;
  /** Before its start. */
  prepare?: (id: string) => Promise<void>;
}

/**
 * Creates a container, fills, attaches and starts it. If any of it fails, nothing is left.
 * @param ended ends it early
 * @throws AppError INVALID_SPEC, ABANDONED, ENGINE_UNREACHABLE
 */
export async function startAttached({ engine, containers, reaper }: RunDeps, spec: AttachedSpec, ended: AbortSignal): Promise<AttachedContainer> {
  const { name, Labels } = await reaper.nameAndLabels(spec.lifetimeMs / 1000);
  const options = { ...spec.container, name, Labels: { ...spec.container.Labels, ...Labels } };
  const id = await reaper.createContainer(options, "start");
  const open: Readable[] = [];
  try {
    throwIfCancelled(ended);
    await spec.prepare?.(id);
    const [output, ending] = await Promise.all([attach(engine, id, spec.stdin), wait(engine, id)]);
    open.push(output, ending);
    // Whoever reads it hears of it; while nobody does, it must not end this process.
    output.on("error", () => undefined);
    throwIfCancelled(ended);
    await engine.call((docker, abortSignal) => docker.getContainer(id).start({ abortSignal }), "start");
    const startedAt = performance.now();
    const over = text(ending).catch(() => "");
    containers.invalidate();
    return { id, output, waitStream: ending, waitResponse: over, startedAt };
  } catch (error) {
    for (const stream of open) stream.destroy();
    await reaper.removeContainer(id);
    throw toAppErrorFromEngine(error, "start");
  }
}

/** @throws AppError ABANDONED if it is so */
export function throwIfCancelled(ended: AbortSignal): void {
  if (ended.aborted) throw new AppError("ABANDONED");
}

async function attach(engine: Engine, id: string, stdin: boolean): Promise<Readable> {
  const query = { stream: true, stdin, stdout: true, stderr: true };
  if (!stdin) return engine.stream("POST", `/containers/${id}/attach`, { query });
  // Only a connection of its own can be ended at one side.
  return (await engine.call((docker) => docker.getContainer(id).attach({ ...query, hijack: true }))) as Duplex;
}

// The headers of this wait must be there before the start, or a container that ends at once is never noticed.
function wait(engine: Engine, id: string): Promise<IncomingMessage> {
  return engine.stream("POST", `/containers/${id}/wait`, { query: { condition: "next-exit" } });
}
