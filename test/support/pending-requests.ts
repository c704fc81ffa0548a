import { setTimeout as sleep } from "node:timers/promises";
import type { TestNode } from "./cluster";
import { sleeper } from "./cluster-containers";
import type { Answer } from "./server";

/** A request whose response may take long. */
export interface PendingRequest {
  /** Rejects after `abort()`. */
  answer: Promise<Answer>;
  answered(): boolean;
  /** Closes the client's connection. */
  abort(): void;
}

/** Sends a request without waiting for its response. */
export function startRequest(node: TestNode, method: string, pathname: string, json?: object): PendingRequest {
  const client = new AbortController();
  let answered = false;
  const answer = node.request(method, pathname, { signal: client.signal, ...(json ? { json } : {}) }).finally(() => {
    answered = true;
  });
  answer.catch(() => undefined);
  return { answer, answered: () => answered, abort: () => client.abort() };
}

/** A request that doesn't have to wait is answered well within this time. */
const SETTLE_MS = 1000;

/** Sends runs one after the other; each is refused or waiting before the next is sent. */
export async function startRuns(node: TestNode, names: string[], more: object): Promise<PendingRequest[]> {
  const sent: PendingRequest[] = [];
  for (const name of names) {
    sent.push(startRequest(node, "PUT", "/", sleeper({ name, ...more })));
    await sleep(SETTLE_MS);
  }
  return sent;
}
