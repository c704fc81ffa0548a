import type { Readable } from "node:stream";
import { ArchiveFault } from "../archive/entry-names";
import { Spool } from "../archive/spool";
import { checkAhead } from "../archive/zip-check-ahead";
import { checkZip, type ZipSummary } from "../archive/zip-read";
import { type Owner, tarOf } from "../archive/zip-to-tar";
import { checkContent } from "../archive/zip-unpack";
import type { Engine } from "../docker/engine";
import { AppError, invalidField } from "../errors";
import { drainBody } from "../support/drain-body";
import { writeArchive } from "./container-archive";
import { type Place, Places } from "./container-paths";
import { fileOfForm } from "./multipart-form";

const ZIP_TYPES = /^(?:application\/(?:zip|x-zip-compressed|octet-stream)|$)/i;
const FORM_TYPE = /^multipart\/form-data\b/i;
/** Folders whose being there is asked about at a time. */
const AT_ONCE = 8;

/** What an upload has brought into a container. */
export interface Uploaded extends Pick<ZipSummary, "files" | "bytes"> {
  /** absolute, of the folder it went to */
  path: string;
}

/**
 * Takes in a zip archive, checks it to its last byte, and only then unpacks it in a container, running or not.
 * @param body the archive itself, or a form with it as its one file
 * @param type of the body
 * @param to folder in the container, made if it isn't there
 * @param limit bytes, of the archive and of what it unpacks to
 * @throws AppError naming the entry at fault; CONTENT_TOO_LARGE, READ_ONLY, NO_SPACE, IN_THE_WAY, LEADS_OUT
 */
export async function uploadZip(
  engine: Engine,
  id: string,
  body: Readable,
  type: string,
  to: string,
  owner: Owner,
  limit: number,
): Promise<Uploaded> {
  const zip = new Spool();
  const ahead = checkAhead(zip, limit);
  try {
    await receive(body, type, zip, limit);
    const summary = await checkZip(zip, limit);
    // The engine is asked what is there while the archive is read.
    const checked = ahead.then((isChecked) => checkContent(zip, isChecked));
    const [target, content] = await Promise.allSettled([targetOf(new Places(engine, id), to, summary), checked]);
    if (target.status === "rejected") throw target.reason;
    if (content.status === "rejected") throw content.reason;
    const { found, missing, folders } = target.value;
    const prefix = missing.map((name) => `${name}/`).join("");
    // Unpacked a second time: to keep it from the first would take far longer.
    const { tar, over } = tarOf(zip, prefix, folders, owner);
    await writeArchive(engine, id, found.path, tar).finally(() => over);
    return { path: [found.path === "/" ? "" : found.path, ...missing].join("/") || "/", files: summary.files, bytes: summary.bytes };
  } catch (error) {
    drainBody(body);
    throw error instanceof ArchiveFault ? refused(error) : error;
  } finally {
    await zip.close();
  }
}

async function receive(body: Readable, type: string, zip: Spool, limit: number): Promise<void> {
  if (FORM_TYPE.test(type)) return fileOfForm(body, type, (file) => zip.fill(file, limit));
  if (!ZIP_TYPES.test(type))
    throw new AppError("UNSUPPORTED_MEDIA_TYPE", { message: "The body must be application/zip, or multipart/form-data with one file" });
  await zip.fill(body, limit);
}

function refused({ message, entry }: ArchiveFault): AppError {
  const shown = entry?.slice(0, 300);
  const fault = invalidField("archive", `${message}${shown === undefined ? "" : `: ${shown}`}`);
  if (shown !== undefined) fault.details.entry = shown;
  return fault;
}

/** Where an archive is to go: the folder that is there, the names that are missing below it, and the folders to be made there. */
async function targetOf(places: Places, to: string, summary: ZipSummary): Promise<{ found: Place; missing: string[]; folders: string[] }> {
  const { found, missing } = await places.reach(to);
  if (found.kind !== "folder") throw new AppError("IN_THE_WAY", { message: `No folder: ${found.path}`, details: { path: found.path } });
  if (missing.length === 0) return { found, missing, folders: await newFolders(places, found, summary.folders) };
  const above = missing.map((_name, depth) => missing.slice(0, depth + 1).join("/"));
  return { found, missing, folders: [...above, ...summary.folders.map((name) => `${missing.join("/")}/${name}`)] };
}

/**
 * Those folders of an archive that aren't there yet; nothing is to be written through a link, or where a file is.
 * @param folders parents first
 */
async function newFolders(places: Places, { path }: Place, folders: readonly string[]): Promise<string[]> {
  const isNew = new Set<string>();
  const isKnown = async (name: string) => {
    const stat = await places.stat(`${path === "/" ? "" : path}/${name}`);
    if (!stat) return void isNew.add(name);
    if (stat.kind === "folder") return;
    const message = `${name} is a folder in the archive, and ${stat.kind === "link" ? "a link" : "none"} in the container`;
    throw new AppError("IN_THE_WAY", { message, details: { entry: name } });
  };
  const byDepth = new Map<number, string[]>();
  for (const name of folders) {
    const depth = name.split("/").length;
    const level = byDepth.get(depth) ?? [];
    level.push(name);
    byDepth.set(depth, level);
  }
  for (const [, level] of [...byDepth].sort(([a], [b]) => a - b)) {
    const asked: string[] = [];
    for (const name of level) {
      if (isNew.has(name.slice(0, name.lastIndexOf("/")))) isNew.add(name);
      else asked.push(name);
    }
    for (let at = 0; at < asked.length; at += AT_ONCE) await Promise.all(asked.slice(at, at + AT_ONCE).map(isKnown));
  }
  return folders.filter((name) => isNew.has(name));
}
