import type { Readable } from "node:stream";
import { ArchiveFault, archiveFieldError } from "../archive/archive-fault";
import { Spool } from "../archive/spool";
import { checkZipContent, checkZipDirectory, type ZipSummary } from "../archive/zip-check";
import { checkAhead } from "../archive/zip-check-ahead";
import { type FileOwner, zipToTar } from "../archive/zip-to-tar";
import type { Engine } from "../docker/engine";
import { AppError, invalidField } from "../errors";
import { drainBody } from "../support/drain-body";
import { lazyRequire } from "../support/lazy-require";
import { onPrematureClose } from "../support/premature-close";
import { writeContainerArchive } from "./container-archive";
import { type ContainerPath, ContainerPaths } from "./container-paths";

const ZIP_TYPES = /^(?:application\/(?:zip|x-zip-compressed|octet-stream)|$)/i;
const FORM_TYPE = /^multipart\/form-data\b/i;
/** Folders that are looked up in parallel. */
const MAX_PARALLEL_LOOKUPS = 8;
/** Folders of one archive that are looked up: the engine mounts the container for each, and takes some 5 ms of it. */
export const MAX_LOOKUPS = 10_000;

const loadBusboy = lazyRequire(() => require("@fastify/busboy") as typeof import("@fastify/busboy"));

export interface UploadOptions {
  contentType: string;
  /** in the container; created if it doesn't exist */
  folder: string;
  owner: FileOwner;
  /** bytes, of the archive and of its content */
  limit: number;
  /** Nothing is written if the client leaves before the archive is checked. */
  clientSignal: AbortSignal;
}

/** Sent to clients as it is. */
export interface UploadResult extends Pick<ZipSummary, "files" | "bytes"> {
  /** absolute, of the target folder */
  path: string;
}

/**
 * Receives a zip archive, checks all of it, and only then unpacks it in a container, running or not.
 * @param body the archive itself, or a form with the archive as its only file
 * @throws AppError naming the entry at fault; CONTENT_TOO_LARGE, READ_ONLY, NO_SPACE, IN_THE_WAY, LEADS_OUT
 */
export async function uploadZip(engine: Engine, id: string, body: Readable, options: UploadOptions): Promise<UploadResult> {
  const { limit, clientSignal } = options;
  const zip = Spool.create();
  const checkingAhead = checkAhead(zip, limit);
  try {
    await receiveZip(body, options.contentType, zip, limit);
    const summary = await checkZipDirectory(zip, limit);
    const checking = checkingAhead.then((isChecked) => checkZipContent(zip, isChecked));
    const planning = planTarget(new ContainerPaths(engine, id), summary, options);
    const [target, content] = await Promise.allSettled([planning, checking]);
    if (target.status === "rejected") throw target.reason;
    if (content.status === "rejected") throw content.reason;
    clientSignal.throwIfAborted();
    const { found, missing, newFolders } = target.value;
    const prefix = missing.map((name) => `${name}/`).join("");
    // Unpacks a second time: storing what the check has unpacked would take far longer.
    const { tar, finished } = zipToTar(zip, prefix, newFolders, options.owner);
    await writeContainerArchive(engine, id, found.path, tar).finally(() => finished);
    return { path: [found.path === "/" ? "" : found.path, ...missing].join("/") || "/", files: summary.files, bytes: summary.bytes };
  } catch (error) {
    drainBody(body);
    throw error instanceof ArchiveFault ? archiveFieldError("archive", error) : error;
  } finally {
    await zip.close();
  }
}

async function receiveZip(body: Readable, contentType: string, zip: Spool, limit: number): Promise<void> {
  if (FORM_TYPE.test(contentType)) return readFormFile(body, contentType, (file) => zip.fill(file, limit));
  if (!ZIP_TYPES.test(contentType))
    throw new AppError("UNSUPPORTED_MEDIA_TYPE", { message: "The body must be application/zip, or multipart/form-data with one file" });
  await zip.fill(body, limit);
}

/**
 * Reads the file of a multipart form, whatever its field is called.
 * @param onFile must consume the file
 * @throws AppError INVALID_BODY if the form has no file or can't be read; INVALID_INPUT for another field; errors of `onFile`
 */
async function readFormFile(body: Readable, contentType: string, onFile: (file: Readable) => Promise<void>): Promise<void> {
  const form = createFormParser(contentType);
  let reading: Promise<void> | undefined;
  const parsed = new Promise<void>((resolve, reject) => {
    const refuse = (field: string) =>
      reject(
        invalidField(field, "is not known here: the form has the archive alone, as a file (curl -F file=@app.zip), and ?path= the folder"),
      );
    form.on("field", refuse);
    form.on("file", (field, file) => {
      // The form and the file's consumer get the error too.
      file.on("error", () => undefined);
      if (reading) {
        refuse(field);
        return void file.resume();
      }
      reading = onFile(file);
      reading.catch(reject);
    });
    form.on("finish", resolve);
    form.on("error", (error) => reject(invalidForm(`can't be read: ${(error as Error).message}`)));
    onPrematureClose(body, (error = invalidForm("ends too early")) => reject(error));
  });
  body.pipe(form);
  try {
    await parsed;
    if (!reading) throw invalidForm("has no file");
    await reading;
  } finally {
    body.unpipe(form);
    form.on("error", () => undefined).destroy();
  }
}

function createFormParser(contentType: string) {
  const { Busboy } = loadBusboy();
  try {
    return new Busboy({ headers: { "content-type": contentType }, limits: { files: 2, fields: 100, fieldSize: 65_536, parts: 110 } });
  } catch (error) {
    throw invalidForm(`can't be read: ${(error as Error).message}`);
  }
}

const invalidForm = (reason: string) => new AppError("INVALID_BODY", { message: `The form ${reason}` });

interface UploadTarget {
  /** the existing folder to unpack in */
  found: ContainerPath;
  /** names below it that don't exist yet */
  missing: string[];
  /** folders to be created, relative to `found`, parents first */
  newFolders: string[];
}

/** @throws AppError IN_THE_WAY, FILE_NOT_FOUND, LEADS_OUT, CONTENT_TOO_LARGE; the signal's reason */
async function planTarget(paths: ContainerPaths, summary: ZipSummary, { folder, clientSignal }: UploadOptions): Promise<UploadTarget> {
  const { found, missing } = await paths.resolvePartly(folder);
  if (found.kind !== "folder") throw new AppError("IN_THE_WAY", { message: `No folder: ${found.path}`, details: { path: found.path } });
  if (missing.length === 0) return { found, missing, newFolders: await findNewFolders(paths, found, summary.folders, clientSignal) };
  const parents = missing.map((_name, depth) => missing.slice(0, depth + 1).join("/"));
  return { found, missing, newFolders: [...parents, ...summary.folders.map((name) => `${missing.join("/")}/${name}`)] };
}

/**
 * The folders of an archive that don't exist in the container.
 * @param folders parents first
 * @throws AppError IN_THE_WAY if one is a link or a file there: nothing is written through links; CONTENT_TOO_LARGE; the signal's reason
 */
async function findNewFolders(
  paths: ContainerPaths,
  { path }: ContainerPath,
  folders: readonly string[],
  clientSignal: AbortSignal,
): Promise<string[]> {
  const newFolders = new Set<string>();
  let lookups = 0;
  const lookUp = async (name: string) => {
    const stat = await paths.stat(`${path === "/" ? "" : path}/${name}`);
    if (!stat) return void newFolders.add(name);
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
    const unknown: string[] = [];
    for (const name of level) {
      // Below a new folder everything is new.
      if (newFolders.has(name.slice(0, name.lastIndexOf("/")))) newFolders.add(name);
      else unknown.push(name);
    }
    lookups += unknown.length;
    if (lookups > MAX_LOOKUPS) throw tooManyLookups(path);
    for (let start = 0; start < unknown.length; start += MAX_PARALLEL_LOOKUPS) {
      clientSignal.throwIfAborted();
      await Promise.all(unknown.slice(start, start + MAX_PARALLEL_LOOKUPS).map(lookUp));
    }
  }
  return folders.filter((name) => newFolders.has(name));
}

const tooManyLookups = (path: string) =>
  new AppError("CONTENT_TOO_LARGE", {
    message: `More than ${MAX_LOOKUPS} folders of the archive may exist in the container: send fewer at a time, or unpack to a new folder below ${path}`,
    details: { limit: MAX_LOOKUPS },
  });
