import { z } from "zod";
import { recordSchema } from "../membership/record";
import { bidSchema, needsSchema } from "../scheduling/bid";
import { PeerFailure } from "./peer-failure";

const text = z.string().max(300);
const nothing = z.object({});
/** of a narrow token: only what has all of them is meant */
const labels = z.record(z.string(), z.string()).exactOptional();
/** containers and runs, bytes, cores */
const use = z.object({ containers: z.number(), memory: z.number(), cpus: z.number(), runs: z.number() });
const found = z.object({ id: z.string(), name: z.string(), state: z.string(), labels: z.record(z.string(), z.string()) });

/** Everything that nodes ask each other. Nodes of different versions work together: names and fields stay as they are. */
const METHODS = {
  /** whether the node answers */
  ping: { params: nothing, result: nothing },
  /** its record as of now */
  status: { params: nothing, result: recordSchema },
  /**
   * Its containers that match an id or a name. With `lease`, the answer's `lease` is the time in ms, counted from the call, for which the
   * node calls `named` if it gets a container of that name; absent in earlier versions, and if it can't promise that.
   */
  find: {
    params: z.object({ id: z.string(), lease: z.boolean().exactOptional(), labels }),
    result: z.object({ exact: z.array(found), prefix: z.array(found), lease: z.number().exactOptional() }),
  },
  /** tells that a container of the caller has got a name, or, without one, that any may have */
  named: { params: z.object({ name: text.exactOptional() }), result: nothing },
  /**
   * All its containers. `have` is the version that the caller holds; `json`, which can be megabytes, is left out if that is current.
   * `lease` is the time in ms, counted from the call, for which the answer holds unless the node calls `changed`.
   */
  list: {
    params: z.object({ have: text }),
    result: z.object({ version: z.string(), json: z.string().exactOptional(), lease: z.number() }),
  },
  /** tells that the caller's containers are no longer those of its last `list` answer */
  changed: { params: nothing, result: nothing },
  /** whether it has a volume */
  volume: { params: z.object({ name: text, labels }), result: z.object({ held: z.boolean() }) },
  /** what its containers with these labels use, for a token's quota */
  use: {
    params: z.object({ labels: z.record(z.string(), z.string()) }),
    result: z.object({ settled: use, pending: z.array(z.object({ claim: text, use })) }),
  },
  /** its bid for a run */
  bid: { params: needsSchema, result: bidSchema },
  /** whether it has, or is about to start, a container of this name; `late`: the caller has started its own already */
  name: { params: z.object({ name: text.min(1), claim: text, late: z.boolean() }), result: z.object({ taken: z.boolean() }) },
  /** tells that the caller has started, and which process was that node before */
  join: { params: z.object({ record: recordSchema, predecessor: text.optional() }), result: nothing },
  /** tells that the caller stops */
  leave: { params: z.object({ process: text, predecessor: text.optional() }), result: nothing },
};

export type RpcMethod = keyof typeof METHODS;
export type RpcParams<M extends RpcMethod> = z.output<(typeof METHODS)[M]["params"]>;
export type RpcResult<M extends RpcMethod> = z.output<(typeof METHODS)[M]["result"]>;

/** Answers a call of node `from`; the message of an error it rejects with is sent back. */
export type RpcHandler = (method: string, params: unknown, from: string) => Promise<object>;

export const isRpcMethod = (name: string): name is RpcMethod => Object.hasOwn(METHODS, name);

/** @throws ZodError if these are no parameters of the method */
export function parseParams<M extends RpcMethod>(method: M, params: unknown): RpcParams<M> {
  return METHODS[method].params.parse(params) as RpcParams<M>;
}

/**
 * Checks a peer's answer. It is returned as it came: clients see bids as the nodes wrote them, with the fields of newer versions.
 * @throws PeerFailure if the answer is none of this method
 */
export function checkResult<M extends RpcMethod>(peer: string, method: M, answer: unknown): RpcResult<M> {
  const { success, error } = METHODS[method].result.safeParse(answer);
  if (success) return answer as RpcResult<M>;
  const [issue] = error.issues;
  const place = issue?.path.length ? ` at ${issue.path.join(".")}` : "";
  throw new PeerFailure(peer, `invalid answer to ${method}${place}: ${issue?.message}`, true, true);
}
