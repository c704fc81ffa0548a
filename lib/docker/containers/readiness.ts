import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { AppError, isUnavailable } from "../../errors";
import { settlesBefore } from "../../support/settles-before";
import type { Engine } from "../engine";
import type { ContainerLogs } from "./logs";
import { findUpstream } from "./published-port";

export interface ReadinessCheck {
  /** asked at the published port, with its query */
  path: string;
  /** of the container */
  port: number;
  /** ms that it may take */
  timeoutMs: number;
}

/** ms between two questions, and that one may take. */
const PROBE_INTERVAL_MS = 200;
const PROBE_TIMEOUT_MS = 5000;
/** What an error tells of the log: lines, bytes, and ms in which it must be there. */
const LOG_EXCERPT = { lines: 20, bytes: 8000, wait: 2000 };

/**
 * Asks a container's published port until it answers 2xx.
 * @param id full id
 * @param open aborted when nobody waits for it any more
 * @throws AppError NOT_READY with the end of the log, also as soon as the container has ended; STOPPING if it is no longer waited for
 */
export async function untilReady(engine: Engine, logs: ContainerLogs, id: string, wish: ReadinessCheck, open: AbortSignal): Promise<void> {
  const late = AbortSignal.timeout(wish.timeoutMs);
  const over = AbortSignal.any([late, open]);
  let last = "it was not reached";
  while (!over.aborted) {
    const asked = probe(engine, id, wish, over);
    if (!(await settlesBefore(asked, over))) break;
    const outcome = await asked;
    if (outcome.ready) return;
    last = outcome.said;
    if (outcome.ended) break;
    await settlesBefore(sleep(PROBE_INTERVAL_MS), over);
  }
  if (open.aborted) throw new AppError("STOPPING");
  const query = { tail: LOG_EXCERPT.lines, timestamps: false, follow: false };
  const log = await logs.readTail(id, query, LOG_EXCERPT.bytes, AbortSignal.timeout(LOG_EXCERPT.wait)).catch(() => undefined);
  throw new AppError("NOT_READY", {
    message: `The container was not ready at ${wish.path} in time: ${last}`,
    details: {
      id,
      health_path: wish.path,
      logs: log === undefined ? "" : log.stdout.bytes().toString() + log.stderr.bytes().toString(),
    },
  });
}

async function probe(engine: Engine, id: string, { path, port }: ReadinessCheck, over: AbortSignal) {
  try {
    const { host, port: at } = await findUpstream(engine, id, port);
    const status = await fetchStatus({ host, port: at, path }, over);
    return { ready: status >= 200 && status < 300, said: `it answers ${status}`, ended: false };
  } catch (error) {
    const { message } = error as Error;
    if (!(error instanceof AppError)) return { ready: false, said: message, ended: false };
    if (isUnavailable(error)) throw error;
    // One that is started again by its restart policy may yet come up.
    const ended = error.code === "CONTAINER_NOT_FOUND" || (error.code === "NOT_RUNNING" && error.details.status !== "restarting");
    return { ready: false, said: ended ? "it has ended" : message, ended };
  }
}

function fetchStatus(target: http.RequestOptions, signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = http.get({ ...target, signal, timeout: PROBE_TIMEOUT_MS, agent: false }, (response) => {
      response.destroy();
      resolve(response.statusCode ?? 0);
    });
    request.on("timeout", () => request.destroy(new Error(`no answer in ${PROBE_TIMEOUT_MS} ms`))).on("error", reject);
  });
}
