import { createHash } from "node:crypto";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { encodeRecord, type NodeRecord } from "../../lib/cluster/membership/record";
import { Signatures } from "../../lib/cluster/rpc/signatures";
import { TOKEN } from "./server";

/** The signatures of the tests' servers. */
export const clusterKey = () => new Signatures([TOKEN]);

/** The file of a node's record in the shared folder. */
export function recordFile(folder: string, name: string): string {
  const readable = name.replace(/[^a-zA-Z0-9-]+/g, "-").slice(0, 60);
  return path.join(folder, `${readable}_${createHash("sha256").update(name).digest("hex").slice(0, 12)}.node.json`);
}

/** A record as a node publishes it: its stored text and the parsed record. */
export function readRecord(file: string): { stored: string; record: NodeRecord } {
  const stored = readFileSync(file, "utf8");
  return { stored, record: JSON.parse(JSON.parse(stored).record) };
}

/** Replaces a record's file atomically. */
export function putRecord(file: string, stored: string): void {
  writeFileSync(`${file}.new`, stored);
  renameSync(`${file}.new`, file);
}

export const removeRecord = (file: string) => rmSync(file, { force: true });

/** The stored text of a record of a node that doesn't exist. */
export function strangersRecord(name: string, url: string, more: Partial<NodeRecord> = {}, signatures = clusterKey()): string {
  const idle = { version: "2.0.0", docker: "27.0.0", engine: "ok", containers: 0, runs: { running: 0, waiting: 0 }, load: 0 } as const;
  return encodeRecord({ name, url, sequence: 1, process: "a-process", ...idle, ...more }, signatures);
}
