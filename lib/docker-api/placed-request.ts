import { Readable } from "node:stream";
import type { RoutedRequest } from "../cluster/routing/routed-request";
import { bestNode, type MakePlan } from "../cluster/routing/where";
import type { Reply } from "../support/reply";
import { clientOf, type DockerCall } from "./call";

/** What a request to place creates, and how. */
export interface Placement {
  /** path and query, as another node gets them */
  url: string;
  body: object;
  plan: MakePlan;
  pinnedNode: string | undefined;
  /** Creates it on this node. */
  createHere(body: object): Promise<Reply>;
}

/** A create as the scheduler routes it: by the same bids as every run. */
export function placedRequest(call: DockerCall, { url, body, plan, pinnedNode, createHere }: Placement): RoutedRequest {
  const { request, response } = call;
  const { caller, access } = clientOf(call);
  const closed = new AbortController();
  response.once("close", () => closed.abort());
  return {
    where: bestNode(plan),
    method: request.method,
    url,
    headers: { ...request.headers, "idempotency-key": undefined },
    identity: caller,
    access,
    peer: response.locals.peer,
    pinnedNode,
    id: undefined,
    query: {},
    explain: false,
    clientSignal: closed.signal,
    streamSignal: closed.signal,
    readsBody: true,
    upgrade: false,
    rawBody: Readable.from([]),
    readBody: async () => body,
    async runHere(planned, onStarted) {
      const reply = await createHere(planned ?? body);
      onStarted?.();
      return reply;
    },
  };
}
