import { pipeline } from "node:stream/promises";
import { type DiskBudget, ReadAhead } from "../archive/read-ahead";
import { toAppErrorFromEngine } from "../docker/engine-errors";
import type { RawEngine } from "../docker/raw-engine";
import { AppError } from "../errors";
import { endToEndHeaders } from "../proxy/response-headers";
import type { DockerCall, Outgoing } from "./call";

/**
 * Answers with files of a container. They are taken from this node's engine as fast as it sends them: it locks the container until it has
 * sent all, so that a slow client would keep others from inspecting or stopping it.
 * @param disk for what is not read yet
 * @throws AppError ENGINE_UNREACHABLE, ENGINE_ERROR
 */
export async function answerReadingAhead({ response }: DockerCall, out: Outgoing, engine: RawEngine, disk: DiskBudget): Promise<void> {
  const endSignal = new AbortController();
  let engineFailure: Error | undefined;
  response.once("close", () => endSignal.abort());
  const stopWatching = engine.watch((error) => {
    engineFailure = error;
    endSignal.abort();
  });
  try {
    const answer = await engine.open({ method: out.method, path: out.target, signal: endSignal.signal });
    const { statusCode: status = 502, statusMessage: reason = "" } = answer;
    const headers = endToEndHeaders({ status, reason, headers: answer.rawHeaders });
    for (let index = 0; index < headers.length; index += 2) response.appendHeader(headers[index] as string, headers[index + 1] as string);
    response.writeHead(status, reason);
    await pipeline(answer, new ReadAhead(disk), response);
  } catch (error) {
    if (engineFailure) throw new AppError("ENGINE_UNREACHABLE", { cause: engineFailure });
    // A client that has left needs no answer.
    if (!endSignal.signal.aborted) throw toAppErrorFromEngine(error);
  } finally {
    stopWatching();
  }
}
