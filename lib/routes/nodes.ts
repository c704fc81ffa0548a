import { z } from "zod";
import { fanOut } from "../cluster/fan-out";
import type { Cluster } from "../cluster/open";
import { askPeer, type Holding } from "../cluster/pool";
import type { NodeRecord } from "../cluster/record";
import { here } from "../cluster/where";
import { invalidField } from "../errors";
import { type Route, route } from "../http/route";

const status = z.object({
  name: z.string(),
  url: z.string(),
  reachable: z.boolean(),
  reason: z.string().optional().describe("why it is not"),
  load: z.number().describe("0 is idle"),
  engine: z.enum(["ok", "down"]),
  version: z.string(),
  docker: z.string().nullable(),
  containers: z.number(),
  seconds_since_seen: z.number(),
});

const name = z.string().min(1).max(300);

const shown = ({ sequence: _, process: __, ...rest }: NodeRecord) => rest;

/** What is asked about nodes: by clients, and by nodes of each other. */
export function nodeRoutes(cluster: Cluster): Route[] {
  const { pool } = cluster;

  const nodes = route({
    method: "get",
    path: "/nodes",
    where: here,
    burst: "high",
    summary: "All nodes, their load and whether they answer",
    tool: "nodes",
    answers: {
      200: { description: "Nodes", schema: z.object({ nodes: z.array(status), complete: z.boolean(), missing: z.array(z.string()) }) },
    },
    async handler() {
      const { peers } = pool.members;
      const [own, { answers, missing }] = await Promise.all([
        cluster.record(),
        fanOut(peers, (peer) => askPeer<NodeRecord>(pool, peer, "GET", "/_node/status")),
      ]);
      const alive = [own, ...answers.map(({ value }) => value)].map((record) => ({
        ...shown(record),
        reachable: true,
        seconds_since_seen: 0,
      }));
      const absent = missing.flatMap(({ node, reason }) => {
        const peer = peers.find((each) => each.name === node);
        return peer
          ? [
              {
                ...shown(peer.record),
                reachable: false,
                reason,
                seconds_since_seen: Math.round((performance.now() - peer.lastSeen) / 1000),
              },
            ]
          : [];
      });
      const names = missing.map(({ node }) => node);
      return { nodes: [...alive, ...absent], complete: names.length === 0, missing: names };
    },
  });

  const internal = { where: here, burst: "none", peersOnly: true, answers: {} } as const;
  const ping = route({
    ...internal,
    method: "get",
    path: "/_node/ping",
    summary: "Whether it lives",
    handler: () => ({ name: pool.self }),
  });
  const own = route({
    ...internal,
    method: "get",
    path: "/_node/status",
    summary: "Its record as of now",
    handler: () => cluster.record(),
  });
  const find = route({
    ...internal,
    method: "get",
    path: "/_node/find",
    summary: "What it holds under an id",
    query: z.object({ id: z.string() }),
    handler: ({ query }): Promise<Holding> => pool.host.find(query.id),
  });
  const bid = route({
    ...internal,
    method: "post",
    path: "/_node/bid",
    summary: "Its bid for a run",
    body: z.object({
      image: z.string(),
      pull: z.enum(["missing", "always", "never"]),
      ports: z.array(z.string()),
      volumes: z.array(z.string()),
      memory: z.number(),
      cpus: z.number(),
    }),
    handler: ({ body }) => cluster.bidder.bid(body),
  });
  const claim = route({
    ...internal,
    method: "post",
    path: "/_node/name",
    summary: "Whether it has a name that is about to be started elsewhere",
    body: z.object({ name, claim: z.string(), late: z.boolean() }),
    handler: ({ body }) => cluster.names.answer(body.name, body.claim, body.late),
  });
  const leave = route({
    ...internal,
    method: "post",
    path: "/_node/leave",
    summary: "A node says goodbye",
    body: z.object({ name, process: z.string().max(64) }),
    handler(call) {
      if (call.sender !== call.body.name) throw invalidField("name", "must be the sender's own");
      pool.members.left(call.body.name, call.body.process);
      return { name: pool.self };
    },
  });

  return [nodes, ping, own, find, bid, claim, leave];
}
