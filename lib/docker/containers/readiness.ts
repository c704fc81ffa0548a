import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { AppError, isUnavailable } from "../../errors";
import { settlesBefore } from "../../support/settles-before";
import { signalWithin } from "../../support/signal-within";
import type { Engine } from "../engine";
import type { ContainerLogs } from "./logs";
import { findUpstream } from "./published-port";

export interface ReadinessCheck {
  /** requested at the published port; may have a query */
  path: string;
  /** container port */
  port: number;
  timeoutMs: number;
}

const PROBE_INTERVAL_MS = 200;
const PROBE_TIMEOUT_MS = 5000;
/** The part of the log that the error includes. */
const LOG_EXCERPT = { lines: 20, bytes: 8000, timeoutMs: 2000 };

/**
 * Sends GET requests to a container's published port until the status is 2xx.
 * @param id full id
 * @param streamSignal aborted when the client disconnects or the server stops
 * @throws AppError NOT_READY with the end of the log, also as soon as the container has ended; STOPPING if `streamSignal` aborts
 */
export async function waitUntilReady(
  engine: Engine,
  logs: ContainerLogs,
  id: string,
  check: ReadinessCheck,
  streamSignal: AbortSignal,
): Promise<void> {
  const endSignal = signalWithin(check.timeoutMs, streamSignal);
  let lastReason = "it was not reached";
  while (!endSignal.aborted) {
    const probing = probe(engine, id, check, endSignal);
    if (!(await settlesBefore(probing, endSignal))) break;
    const result = await probing;
    if (result.ready) return;
    lastReason = result.reason;
    if (result.ended) break;
    await settlesBefore(sleep(PROBE_INTERVAL_MS), endSignal);
  }
  if (streamSignal.aborted) throw new AppError("STOPPING");
  const query = { tail: LOG_EXCERPT.lines, timestamps: false, follow: false };
  const log = await logs.readTail(id, query, LOG_EXCERPT.bytes, AbortSignal.timeout(LOG_EXCERPT.timeoutMs)).catch(() => undefined);
  throw new AppError("NOT_READY", {
    message: `The container was not ready at ${check.path} in time: ${lastReason}`,
    details: {
      id,
      health_path: check.path,
      logs: log === undefined ? "" : log.stdout.bytes().toString() + log.stderr.bytes().toString(),
    },
  });
}

async function probe(engine: Engine, id: string, { path, port }: ReadinessCheck, endSignal: AbortSignal) {
  try {
    const { host, port: hostPort } = await findUpstream(engine, id, port);
    const status = await fetchStatus({ host, port: hostPort, path }, endSignal);
    return { ready: status >= 200 && status < 300, reason: `it answers ${status}`, ended: false };
  } catch (error) {
    const { message } = error as Error;
    if (!(error instanceof AppError)) return { ready: false, reason: message, ended: false };
    if (isUnavailable(error)) throw error;
    // A restart policy may bring it up again.
    const ended = error.code === "CONTAINER_NOT_FOUND" || (error.code === "NOT_RUNNING" && error.details.status !== "restarting");
    return { ready: false, reason: ended ? "it has ended" : message, ended };
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
