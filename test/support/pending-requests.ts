import { setTimeout as sleep } from "node:timers/promises";
import type { TestNode } from "./cluster";
import { sleeper } from "./cluster-containers";
import type { Answer } from "./server";

/** A request that may be long in coming back. */
export interface PendingRequest {
  /** Rejects if its client has left. */
  answer: Promise<Answer>;
  answered(): boolean;
  /** Cuts the client's connection. */
  abort(): void;
}

/** Sends a request and doesn't wait for its answer. */
export function startRequest(node: TestNode, method: string, pathname: string, json?: object): PendingRequest {
  const leaving = new AbortController();
  let answered = false;
  const answer = node.request(method, pathname, { signal: leaving.signal, ...(json ? { json } : {}) }).finally(() => {
    answered = true;
  });
  answer.catch(() => undefined);
  return { answer, answered: () => answered, abort: () => leaving.abort() };
}

/** Time (ms) in which a request that does not have to wait has been answered long since. */
const SETTLE_MS = 1000;

/** Sends runs one after the other, each when the one before it must have been refused or be waiting. */
export async function startRuns(node: TestNode, names: string[], more: object): Promise<PendingRequest[]> {
  const sent: PendingRequest[] = [];
  for (const name of names) {
    sent.push(startRequest(node, "PUT", "/", sleeper({ name, ...more })));
    await sleep(SETTLE_MS);
  }
  return sent;
}
