import { z } from "zod";
import type { Signatures } from "../rpc/signatures";

/** What a node publishes about itself. The field names are stored and sent between nodes. */
export const recordSchema = z.object({
  name: z.string().regex(/^[\x21-\x2b\x2d-\x7e]{1,300}$/),
  url: z.url({ protocol: /^https?$/ }).refine((url) => !/[@?#]/.test(url), "must be an address alone, without credentials or a query"),
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
  /** whether it takes new work; absent from nodes of older versions, which do */
  accepting: z.boolean().exactOptional(),
  /** whether the node signs requests for a process and a time of its peers; absent in earlier versions */
  timed: z.boolean().exactOptional(),
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
  if (!signatures.verify("record", record, signature)) throw new Error("its signature is not valid");
  return recordSchema.parse(JSON.parse(record));
}
