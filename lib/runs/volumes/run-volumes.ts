import { ArchiveFault } from "../../archive/entry-names";
import { checkTarGz } from "../../archive/tar-read";
import type { PathContent } from "../../archive/tar-write";
import { checkBind, type Policy } from "../../docker/create/policy";
import { invalidField } from "../../errors";
import { decodeBase64 } from "../../support/base64";

/** One entry of a run's `volumes`, its form checked. */
export type VolumeEntry =
  | { type: "file" | "directory"; content: string; mode?: string | undefined; response: boolean }
  | { type: "volume"; name: string; response: boolean }
  | { type: "host"; host_path: string; response: boolean };

/** What a run's container is to have at a path. */
export interface RunVolume {
  path: string;
  readOnly: boolean;
  type: VolumeEntry["type"];
  /** The content is to be given back. */
  response: boolean;
  /** of a file or a folder */
  content?: PathContent;
  /** of a volume: its name; of a folder of the host: its path */
  source?: string;
}

/**
 * Reads and checks the volumes of a run; nothing is made yet.
 * @param volumes by path, which `:ro` may follow
 * @param limit bytes that each may unpack to
 * @throws AppError naming the field, and the entry of an archive; NOT_ALLOWED
 */
export async function parseVolumes(volumes: Record<string, VolumeEntry>, policy: Policy, limit: number): Promise<RunVolume[]> {
  const places: RunVolume[] = [];
  const paths = new Set<string>();
  for (const [key, entry] of Object.entries(volumes)) {
    const [, given = "", access] = /^(.*?)(?::(ro|rw))?$/s.exec(key) ?? [];
    const path = `/${given.split("/").filter(Boolean).join("/")}`;
    if (path === "/") throw invalidField(`volumes.${key}`, "must lie below the root");
    if (paths.has(path)) throw invalidField(`volumes.${key}`, "names a path that is there twice");
    paths.add(path);
    const place = { path, readOnly: access === "ro", type: entry.type, response: entry.response };
    if (entry.type === "volume") places.push({ ...place, source: entry.name });
    else if (entry.type === "host") {
      checkBind(entry.host_path, policy, `volumes.${key}.host_path`);
      places.push({ ...place, source: entry.host_path });
    } else places.push({ ...place, content: await readContent(entry, path, `volumes.${key}.content`, limit) });
  }
  // What holds others is put in before them.
  return places.sort((a, b) => depth(a) - depth(b));
}

type Given = Extract<VolumeEntry, { content: string }>;

async function readContent(entry: Given, path: string, field: string, limit: number): Promise<PathContent> {
  const mode = entry.mode === undefined ? undefined : Number.parseInt(entry.mode, 8);
  const bytes = decodeBase64(entry.content, field);
  if (entry.type === "directory") return { path, mode, archive: await checkArchiveField(bytes, field, limit) };
  if (bytes.length > limit) throw invalidField(field, `must not hold more than ${limit} bytes`);
  return { path, mode, file: bytes };
}

/**
 * @returns the same bytes, if they are a gzipped tar without fault
 * @throws AppError naming the field and the entry
 */
export async function checkArchiveField(bytes: Buffer, field: string, limit: number): Promise<Buffer> {
  try {
    await checkTarGz(bytes, limit);
    return bytes;
  } catch (error) {
    if (!(error instanceof ArchiveFault)) throw error;
    const fault = invalidField(field, `${error.message}${error.entry === undefined ? "" : `: ${error.entry.slice(0, 300)}`}`);
    if (error.entry !== undefined) fault.details.entry = error.entry.slice(0, 300);
    throw fault;
  }
}

const depth = ({ path }: RunVolume) => path.split("/").length;
