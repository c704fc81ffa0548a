import nodeCluster from "node:cluster";
import { setTimeout as sleep } from "node:timers/promises";
import type { Cluster } from "./cluster/cluster";
import type { RequestDeadlines } from "./http/request-deadlines";
import type { ReverseProxy } from "./proxy/reverse-proxy";
import type { RunningServer } from "./server/listen";
import { settlesBefore } from "./support/settles-before";

/** A stopping node still answers requests for this time, at most `stop_timeout`, while load balancers learn of the stop from /health. */
const DRAIN_MS = 1500;
/** After this time, at most half of `stop_timeout`, requests that still wait are answered as if their deadline had passed. */
const WAITS_END_MS = 5000;
/** After this time, at most half of `stop_timeout`, streams without an end of their own are ended. */
const STREAMS_END_MS = 1500;
/** Runs that end with their request are ended so long before `stop_timeout`, at most half of it, to be removed and answered. */
const RUNS_END_BEFORE_MS = 5000;

/** Whether this node is about to stop; /health reports it. */
export class Drain {
  active = false;
}

export interface ShutdownDeps {
  cluster: Cluster | undefined;
  drain: Drain;
  deadlines: RequestDeadlines;
  servers: RunningServer[];
  proxy: ReverseProxy;
  /** Resolves when work that goes on without a request is finished. */
  finishWork(): Promise<unknown>;
  /** Closes connections and stops sweeps. */
  close(): void;
  stopTimeoutMs: number;
}

/** Stops the program: leaves the cluster, drains, ends requests within `stopTimeoutMs`, then closes everything else. */
export async function shutDown({
  cluster,
  drain,
  deadlines,
  servers,
  proxy,
  finishWork,
  close,
  stopTimeoutMs,
}: ShutdownDeps): Promise<void> {
  await cluster?.leave();
  // Under pm2 the parent process accepts connections and has stopped passing them here. Without a parent, closing the socket would reset
  // connections that wait in its queue.
  if (cluster && !nodeCluster.isWorker) {
    drain.active = true;
    await sleep(Math.min(DRAIN_MS, stopTimeoutMs));
  }
  const endAt = performance.now() + stopTimeoutMs;
  const streamsTimer = setTimeout(() => deadlines.stopUnbounded(), Math.min(STREAMS_END_MS, stopTimeoutMs / 2));
  const waitsTimer = setTimeout(() => deadlines.stop(), Math.min(WAITS_END_MS, stopTimeoutMs / 2));
  const runsTimer = setTimeout(() => deadlines.stopRuns(), Math.max(stopTimeoutMs - RUNS_END_BEFORE_MS, stopTimeoutMs / 2));
  await Promise.all(servers.map((server) => server.stop()));
  clearTimeout(streamsTimer);
  proxy.close();
  clearTimeout(waitsTimer);
  clearTimeout(runsTimer);
  await settlesBefore(finishWork(), AbortSignal.timeout(Math.max(0, Math.ceil(endAt - performance.now()))));
  close();
}
