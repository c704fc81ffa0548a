import { z } from "zod";
import type { Members } from "../membership/members";
import { type NodeRecord, recordSchema } from "../membership/record";
import type { Holding, ListAnswer, LocalHost } from "../pool";
import type { ContainerCache } from "../routing/container-cache";
import type { ListLeases } from "../routing/list-leases";
import type { Bidder } from "../scheduling/bidder";
import type { NameAnswer, NameClaims } from "../scheduling/name-claims";
import type { Bid, Needs } from "../scheduling/scoring";

const text = z.string().max(300);

const BODIES = {
  ping: z.object({}),
  status: z.object({}),
  find: z.object({ id: z.string() }),
  /** `have`: the version that the asker holds already */
  list: z.object({ have: text }),
  changed: z.object({}),
  volume: z.object({ name: text }),
  bid: z.object({
    image: z.string(),
    pull: z.enum(["missing", "always", "never"]),
    ports: z.array(z.string()),
    volumes: z.array(z.string()),
    memory: z.number(),
    cpus: z.number(),
    slot: z.boolean(),
    compose: z.boolean().optional(),
  }) satisfies z.ZodType<Needs>,
  name: z.object({ name: text.min(1), claim: text, late: z.boolean() }),
  join: z.object({ record: recordSchema, predecessor: text.optional() }),
  leave: z.object({ process: text, predecessor: text.optional() }),
};

/** What one node says to another, by question. */
export interface RpcResults {
  /** that it lives */
  ping: Record<string, never>;
  /** its record as of now */
  status: NodeRecord;
  /** what it holds under an id */
  find: Holding;
  /** all its containers */
  list: ListAnswer;
  /** that it knows of it: the asker's containers are others than it was told */
  changed: Record<string, never>;
  /** whether it has a volume */
  volume: { held: boolean };
  /** its bid for a run */
  bid: Bid;
  /** whether it has a name that is about to be started elsewhere */
  name: NameAnswer;
  /** that it knows of the asker's going */
  leave: Record<string, never>;
  /** that it knows of the asker, and of the process that was the asker's node before */
  join: Record<string, never>;
}

export type RpcMethod = keyof RpcResults;
export type RpcParams<Q extends RpcMethod> = z.output<(typeof BODIES)[Q]>;

/** Answers another node's question; rejects with what people are told of it. */
export type RpcHandler = (question: string, body: unknown, from: string) => Promise<object>;

interface Answering {
  host: LocalHost;
  members: Members;
  bidder: Bidder;
  names: NameClaims;
  leases: ListLeases;
  poolList: ContainerCache;
  record(): Promise<NodeRecord>;
}

/** Makes what answers for this node. */
export function rpcHandlers({ host, members, bidder, names, leases, poolList, record }: Answering): RpcHandler {
  const answers: { [Q in RpcMethod]: (body: RpcParams<Q>, from: string) => RpcResults[Q] | Promise<RpcResults[Q]> } = {
    ping: () => ({}),
    status: record,
    find: ({ id }) => host.find(id),
    list: async ({ have }, from) => {
      const given = leases.give(from);
      const { version, json, followed } = await host.list();
      const lease = followed ? given : 0;
      return version === have ? { version, lease } : { version, lease, json: json.toString() };
    },
    changed: (_, from) => {
      poolList.changed(from);
      return {};
    },
    volume: async ({ name }) => ({ held: await host.holdsVolume(name) }),
    bid: (needs) => bidder.bid(needs),
    name: ({ name, claim, late }) => names.answer(name, claim, late),
    join({ record, predecessor }, from) {
      if (record.name !== from) throw new Error("it is another node's record");
      members.joined(record, predecessor);
      return {};
    },
    async leave({ process, predecessor }, from) {
      // At a reload its next process is in the store before it leaves.
      await members.refresh();
      members.left(from, process, predecessor);
      return {};
    },
  };
  const isQuestion = (name: string): name is RpcMethod => Object.hasOwn(answers, name);

  return async (question, body, from) => {
    if (!isQuestion(question)) throw new Error(`it does not know the question ${question}`);
    const answer = answers[question] as (body: unknown, from: string) => object | Promise<object>;
    return answer(BODIES[question].parse(body), from);
  };
}
