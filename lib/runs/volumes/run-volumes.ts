import { gzipSync } from "node:zlib";
import { ArchiveFault, archiveFieldError } from "../../archive/archive-fault";
import { checkTarGz } from "../../archive/tar-read";
import type { PathContent } from "../../archive/tar-write";
import { checkBind, type Policy } from "../../docker/create/policy";
import { invalidField } from "../../errors";
import { decodeBase64 } from "../../support/base64";

const EMPTY_ARCHIVE = gzipSync(Buffer.alloc(1024));

/** An item of a run's `volumes`, as the request has it. */
export type VolumeEntry =
  | { type: "file" | "directory"; content: string; mode?: string | undefined; response: boolean }
  | { type: "volume"; name: string; response: boolean }
  | { type: "host"; host_path: string; response: boolean };

/** What a run's container gets at a path. */
export interface RunVolume {
  path: string;
  readOnly: boolean;
  type: VolumeEntry["type"];
  /** whether the run's result includes the content */
  response: boolean;
  /** of a file or a folder */
  content?: PathContent;
  /** a volume's name, or a path of the host */
  source?: string;
}

/**
 * Parses and checks the `volumes` of a run; nothing is created yet.
 * @param volumes by path, which may end with `:ro` or `:rw`
 * @param limit bytes that each content may unpack to
 * @returns parent paths first
 * @throws AppError naming the field, and the entry of an archive; NOT_ALLOWED
 */
export async function parseVolumes(volumes: Record<string, VolumeEntry>, policy: Policy, limit: number): Promise<RunVolume[]> {
  const parsed: RunVolume[] = [];
  const paths = new Set<string>();
  for (const [key, entry] of Object.entries(volumes)) {
    const [, given = "", access] = /^(.*?)(?::(ro|rw))?$/s.exec(key) ?? [];
    const path = `/${given.split("/").filter(Boolean).join("/")}`;
    if (path === "/") throw invalidField(`volumes.${key}`, "must lie below the root");
    if (paths.has(path)) throw invalidField(`volumes.${key}`, "names a path that is there twice");
    paths.add(path);
    const volume = { path, readOnly: access === "ro", type: entry.type, response: entry.response };
    if (entry.type === "volume") parsed.push({ ...volume, source: entry.name });
    else if (entry.type === "host") {
      checkBind(entry.host_path, policy, `volumes.${key}.host_path`);
      parsed.push({ ...volume, source: entry.host_path });
    } else parsed.push({ ...volume, content: await parseContent(entry, path, `volumes.${key}.content`, limit) });
  }
  return parsed.sort((a, b) => depth(a) - depth(b));
}

type ContentEntry = Extract<VolumeEntry, { content: string }>;

async function parseContent(entry: ContentEntry, path: string, field: string, limit: number): Promise<PathContent> {
  const mode = entry.mode === undefined ? undefined : Number.parseInt(entry.mode, 8);
  if (entry.type === "directory") return { path, mode, archive: await parseArchive(entry.content, field, limit) };
  const file = decodeBase64(entry.content, field);
  if (file.length > limit) throw invalidField(field, `must not hold more than ${limit} bytes`);
  return { path, mode, file };
}

/**
 * Decodes and checks a gzipped tar.
 * @param content base64; empty for an archive without entries
 * @param field named in errors
 * @param limit bytes that it may unpack to
 * @throws AppError 400 naming the field and the entry
 */
export async function parseArchive(content: string, field: string, limit: number): Promise<Buffer> {
  if (content === "") return EMPTY_ARCHIVE;
  const archive = decodeBase64(content, field);
  try {
    await checkTarGz(archive, limit);
    return archive;
  } catch (error) {
    throw error instanceof ArchiveFault ? archiveFieldError(field, error) : error;
  }
}

const depth = ({ path }: RunVolume) => path.split("/").length;
