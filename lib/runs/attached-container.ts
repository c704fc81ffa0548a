import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import type { Access } from "../access/access";
import type { ContainerList } from "../docker/containers/container-list";
import type { Quotas } from "../docker/create/quotas";
import type { ContainerCreateOptions, Engine } from "../docker/engine";
import { toAppErrorFromEngine } from "../docker/engine-errors";
import { AppError } from "../errors";
import type { Reaper } from "./reaper";

/** What running containers that are removed at their end needs. */
export interface RunDeps {
  engine: Engine;
  containers: ContainerList;
  reaper: Reaper;
  quotas: Quotas;
}

/** A started container, with its streams. */
export interface AttachedContainer {
  id: string;
  /** stdout and stderr, multiplexed; a Duplex if stdin was requested */
  output: Readable;
  /** the engine's response to the wait for the exit */
  waitStream: Readable;
  /** body of that response; empty if the connection to the engine broke */
  waitResponse: Promise<string>;
  /** by performance.now() */
  startedAt: number;
}

export interface AttachedSpec {
  container: ContainerCreateOptions;
  /** what the client may do */
  access: Access;
  /** whether stdin will be written to */
  stdin: boolean;
  /** the container is used at most this long */
  lifetimeMs: number;
  /** called before the start, with the labels that were added to the container's */
  prepare?: (id: string, labels: Record<string, string>) => Promise<void>;
}

/**
 * Creates, prepares, attaches and starts a container. If a step fails, the container is removed.
 * @throws AppError INVALID_SPEC, REFUSED_BY_TOKEN, ABANDONED if cancelled, ENGINE_UNREACHABLE
 */
export async function startAttached(
  { engine, containers, reaper, quotas }: RunDeps,
  spec: AttachedSpec,
  cancelSignal: AbortSignal,
): Promise<AttachedContainer> {
  const { name, Labels } = await reaper.nameAndLabels(spec.lifetimeMs / 1000);
  const options = { ...spec.container, name, Labels: { ...spec.container.Labels, ...Labels } };
  const room = quotas.open(name, spec.access);
  try {
    const id = await reaper.createContainer(options, "start");
    const streams: Readable[] = [];
    try {
      throwIfCancelled(cancelSignal);
      await spec.prepare?.(id, Labels);
      await room.confirm();
      const [output, waitStream] = await Promise.all([attach(engine, id, spec.stdin), waitForExit(engine, id)]);
      streams.push(output, waitStream);
      // Readers get the error too; while there is none, an unhandled error event would end this process.
      output.on("error", () => undefined);
      throwIfCancelled(cancelSignal);
      await engine.call((docker) => docker.getContainer(id).start(), "start");
      const startedAt = performance.now();
      const waitResponse = text(waitStream).catch(() => "");
      containers.invalidate();
      return { id, output, waitStream, waitResponse, startedAt };
    } catch (error) {
      for (const stream of streams) stream.destroy();
      await reaper.removeContainer(id);
      throw toAppErrorFromEngine(error, "start");
    }
  } finally {
    room.close();
  }
}

/** @throws AppError ABANDONED */
export function throwIfCancelled(cancelSignal: AbortSignal): void {
  if (cancelSignal.aborted) throw new AppError("ABANDONED");
}

function attach(engine: Engine, id: string, stdin: boolean): Promise<Readable> {
  const query = { stream: true, stdin, stdout: true, stderr: true };
  const path = `/containers/${id}/attach`;
  return stdin ? engine.hijack(path, { query }) : engine.stream("POST", path, { query });
}

/** Must have response headers before the start: otherwise the exit of a short container is missed. */
function waitForExit(engine: Engine, id: string): Promise<IncomingMessage> {
  return engine.stream("POST", `/containers/${id}/wait`, { query: { condition: "next-exit" } });
}
