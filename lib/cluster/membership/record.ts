import { createHash } from "node:crypto";
import { z } from "zod";
import type { Signatures } from "../rpc/signatures";

/** What a node publishes about itself. The field names are stored and sent between nodes. */
export const recordSchema = z.object({
  name: z.string().regex(/^[\x21-\x2b\x2d-\x7e]{1,300}$/),
  url: z.url({ protocol: /^https?$/ }).refine((url) => !/[@?#]/.test(url), "must be an address alone, without credentials or a query"),
  /** origin at which browsers reach it; absent if it is not known, and from nodes of older versions */
  public_url: z
    .string()
    .max(300)
    .refine((url) => /^https?:/.test(url) && URL.canParse(url) && new URL(url).origin === url, "must be an origin")
    .exactOptional(),
  /** grows with every record of one process */
  sequence: z.number(),
  /** random id of the process; with `sequence` it identifies one record */
  process: z.string().max(64),
  version: z.string().max(64),
  docker: z.string().max(64).nullable(),
  engine: z.enum(["ok", "down"]),
  containers: z.number(),
  runs: z.object({ running: z.number(), waiting: z.number() }),
  /** see `loadOf` in scheduling/scoring.ts */
  load: z.number(),
  /** shares in use of the machine's CPU and memory, 0 to 1; absent until they are measured, and in earlier versions */
  cpu: z.number().exactOptional(),
  memory: z.number().exactOptional(),
  /** whether it takes new work; absent from nodes of older versions, which do */
  accepting: z.boolean().exactOptional(),
  /** whether the node signs requests for a process and a time of its peers; absent in earlier versions */
  timed: z.boolean().exactOptional(),
  /** the engine's own id, which a copied machine has too; absent in earlier versions and while the engine has not answered */
  engine_id: z.string().max(200).exactOptional(),
  /** names of the nodes that were proven to use the same engine */
  same_engine: z.array(z.string().max(300)).max(1000).exactOptional(),
  /** the caveats of narrow tokens that it enforces; absent before there were any */
  enforces: z.array(z.string().max(64)).max(64).exactOptional(),
});

export type NodeRecord = z.output<typeof recordSchema>;

/** @returns the stored form: JSON of the record's own JSON and its signature */
export function encodeRecord(record: NodeRecord, signatures: Signatures): string {
  const text = JSON.stringify(record);
  return JSON.stringify({ record: text, signature: signatures.sign("record", text) });
}

/** Characters of a stored record. */
const MAX_LENGTH = 10_000;

/**
 * Reads a stored record.
 * @throws Error with the reason if it is unusable: torn, foreign, unsigned or of another form
 */
export function decodeRecord(stored: string, signatures: Signatures): NodeRecord {
  if (stored.length > MAX_LENGTH) throw new Error("it is too long");
  const { record, signature } = z.object({ record: z.string(), signature: z.string() }).parse(JSON.parse(stored));
  if (!signatures.verify("record", record, signature))
    throw new Error("its signature is not valid: the node has another --cluster_key, or another first --token");
  return recordSchema.parse(JSON.parse(record));
}

/** Differs for every record that a node publishes. */
export function recordId(record: NodeRecord): string {
  return `${record.process} ${record.sequence}`;
}

/** A node's name as a key that every store accepts. */
export function storeKey(nodeName: string): string {
  const readable = nodeName.replace(/[^a-zA-Z0-9-]+/g, "-").slice(0, 60);
  return `${readable}_${createHash("sha256").update(nodeName).digest("hex").slice(0, 12)}`;
}

/** What of a record decides whether its node is asked, and what it remembers of earlier calls. */
export const askedAs = ({ process, engine_id, same_engine }: NodeRecord) => JSON.stringify([process, engine_id, same_engine]);
