import { z } from "zod";
import type { Cluster } from "../cluster/cluster";
import type { Peer } from "../cluster/membership/peer";
import type { NodeRecord } from "../cluster/membership/record";
import { callAllPeers, poolOf } from "../cluster/pool";
import { here, namedNode } from "../cluster/routing/where";
import { flag } from "../http/fields";
import { type Route, route } from "../http/route";

const status = z.object({
  name: z.string(),
  url: z.string(),
  public_url: z.string().optional().describe("origin at which browsers reach it, if it is known"),
  reachable: z.boolean(),
  reason: z.string().optional().describe("why it is not"),
  load: z.number().describe("0 is idle"),
  cpu: z.number().optional().describe("share of the machine's CPU in use, 0 to 1"),
  memory: z.number().optional().describe("share of the machine's memory in use, 0 to 1"),
  engine: z.enum(["ok", "down"]),
  version: z.string(),
  docker: z.string().nullable(),
  containers: z.number(),
  runs: z.object({ running: z.number(), waiting: z.number() }).describe("of POST /run: under way, and waiting their turn"),
  accepting: z.boolean().describe("whether it takes new work"),
  seconds_since_seen: z.number(),
  same_engine: z.array(z.string()).optional().describe("other nodes that use its engine"),
});

const publicFields = ({ sequence: _, process: __, enforces: ___, timed: ____, engine_id: _____, ...record }: NodeRecord) => {
  const { same_engine, accepting = true, ...rest } = record;
  return { ...rest, accepting, ...(same_engine?.length ? { same_engine } : {}) };
};

const reachableNode = (record: NodeRecord) => ({ ...publicFields(record), reachable: true, seconds_since_seen: 0 });

/** @param peer.lastSeenAt ms of `performance.now()` */
function unreachableNode({ record, lastSeenAt }: Pick<Peer, "record" | "lastSeenAt">, reason: string) {
  const seconds_since_seen = Math.round((performance.now() - lastSeenAt) / 1000);
  return { ...publicFields(record), reachable: false, reason, seconds_since_seen };
}

/** The nodes of the cluster. */
export function nodeRoutes(cluster: Cluster): Route[] {
  const { pool } = cluster;

  const nodes = route({
    method: "get",
    path: "/nodes",
    where: here,
    burst: "high",
    permission: "nodes",
    summary: "All nodes, their load and whether they answer",
    responses: {
      200: {
        description: "Nodes",
        schema: z.object({
          nodes: z.array(status),
          complete: z.boolean().describe("whether the store was read since the start and all nodes answer"),
          missing: z.array(z.string()),
          warnings: z
            .array(z.string())
            .describe("what is wrong with the pool: nodes that use one engine or have one name, records that can't be read"),
        }),
      },
    },
    async handler({ access }) {
      const reachablePool = poolOf(pool, access);
      const { allPeers: peers } = reachablePool.members;
      const [own, { answers, missing }] = await Promise.all([cluster.record(), callAllPeers(reachablePool, "status", {})]);
      const reachable = [own, ...answers.map(({ value }) => value)].map(reachableNode);
      const unreachable = missing.flatMap(({ node, reason }) => {
        const peer = peers.find(({ name }) => name === node);
        return peer ? [unreachableNode(peer, reason)] : [];
      });
      const missingNames = missing.map(({ node }) => node);
      const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
      return {
        nodes: [...reachable, ...unreachable].sort(byName),
        complete: missingNames.length === 0 && cluster.storeWasRead(),
        missing: missingNames,
        warnings: cluster.warnings(),
      };
    },
  });

  const change = route({
    method: "patch",
    path: "/nodes/:name",
    where: namedNode,
    burst: "low",
    permission: "admin",
    summary: "Let a node take new work, or not, until its restart",
    params: z.object({ name: z.string().max(300).describe("The node's name") }),
    body: z.object({ accepting: flag.describe("false: the node serves what it has, and other nodes take new work") }),
    example: { accepting: false },
    responses: { 200: { description: "The node as it is now", schema: status } },
    async handler({ body }) {
      cluster.setAccepting(body.accepting);
      return reachableNode(await cluster.record());
    },
  });

  return [nodes, change];
}
