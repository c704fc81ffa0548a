import { z } from "zod";

/** What a run needs of its node. The field names are sent between nodes. */
export const needsSchema = z.object({
  image: z.string(),
  /** only with `never` does an absent image rule a node out: otherwise it is pulled */
  pull: z.enum(["missing", "always", "never"]),
  /** host ports, as port/protocol */
  ports: z.array(z.string()),
  /** the same ports with the addresses they are to be bound to, as address:port/protocol; no address means all */
  bindings: z.array(z.string()).optional(),
  /** named volumes */
  volumes: z.array(z.string()),
  /** networks, but those that every engine has; a node without one of them can't take it */
  networks: z.array(z.string()).optional(),
  /** names or ids of containers whose namespaces it joins; only the node that has them can take it */
  containers: z.array(z.string()).optional(),
  /** bytes; 0 if unspecified */
  memory: z.number(),
  /** cores; 0 if unspecified */
  cpus: z.number(),
  /** whether it takes one of the node's limited run slots */
  slot: z.boolean(),
  /** whether the host must have docker compose */
  compose: z.boolean().optional(),
});

export type Needs = z.output<typeof needsSchema>;

/** A node's offer for a run. The field names are sent between nodes, and shown to clients in `placement`. */
export const bidSchema = z.object({
  node: z.string(),
  /** why it can't take the run; of the other fields only `hasVolumes` then counts, for a warning */
  declines: z.string().exactOptional(),
  /** the error to report if every node declines with this same code */
  code: z.string().exactOptional(),
  /** measured, from 0 (idle) to 1 */
  cpu: z.number(),
  /** measured, from 0 (free) to 1 */
  memory: z.number(),
  /** share of the cores reserved by running and accepted containers */
  reservedCpu: z.number(),
  /** share of the memory reserved by running and accepted containers */
  reservedMemory: z.number(),
  /** recent placements, decaying: a new container doesn't use yet what it will */
  recent: z.number(),
  hasImage: z.boolean(),
  hasVolumes: z.boolean(),
  /** run slots occupied or waited for, and slots in total; absent if the run needs none */
  slots: z.object({ taken: z.number(), size: z.number() }).exactOptional(),
});

export type Bid = z.output<typeof bidSchema>;

/** The bid of a node that gave none. */
export function declinedBid(node: string, reason: string): Bid {
  return {
    node,
    declines: `no answer: ${reason}`,
    cpu: 0,
    memory: 0,
    reservedCpu: 0,
    reservedMemory: 0,
    recent: 0,
    hasImage: false,
    hasVolumes: false,
  };
}
