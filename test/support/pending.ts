import { setTimeout as sleep } from "node:timers/promises";
import type { TestNode } from "./cluster";
import { sleeper } from "./pool";
import type { Answer } from "./server";

/** A request that may be long in coming back. */
export interface Pending {
  /** Rejects if its client has left. */
  answer: Promise<Answer>;
  answered(): boolean;
  /** Cuts the client's connection. */
  leave(): void;
}

/** Sends a request and doesn't wait for its answer. */
export function sendOff(node: TestNode, method: string, pathname: string, json?: object): Pending {
  const leaving = new AbortController();
  let answered = false;
  const answer = node.request(method, pathname, { signal: leaving.signal, ...(json ? { json } : {}) }).finally(() => {
    answered = true;
  });
  answer.catch(() => undefined);
  return { answer, answered: () => answered, leave: () => leaving.abort() };
}

/** Time (ms) in which a request that does not have to wait has been answered long since. */
const LONG_SINCE = 1000;

/** Sends runs one after the other, each when the one before it must have been refused or be waiting. */
export async function sendRuns(node: TestNode, names: string[], more: object): Promise<Pending[]> {
  const sent: Pending[] = [];
  for (const name of names) {
    sent.push(sendOff(node, "PUT", "/", sleeper({ name, ...more })));
    await sleep(LONG_SINCE);
  }
  return sent;
}
