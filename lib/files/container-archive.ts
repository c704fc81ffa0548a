import type { Readable } from "node:stream";
import { type Extract, extract } from "tar-stream";
import { type DiskBudget, ReadAhead } from "../archive/read-ahead";
import type { Engine } from "../docker/engine";
import { toAppErrorFromEngine } from "../docker/engine-errors";
import { AppError, isNotFound } from "../errors";

/** A tar of files in a container, as the engine streams it. */
export interface ContainerArchive {
  entries: Extract;
  /** Closes the engine's stream, at any time. */
  close(): void;
}

/**
 * Opens a tar of a file, or of a folder with everything below it.
 * @param path absolute, without links
 * @param disk for what is not read yet: the engine locks the container until it has sent all, so that a slow client would keep others
 *   from inspecting or stopping it. Undefined if nobody waits between the entries.
 * @throws AppError FILE_NOT_FOUND if it doesn't exist
 */
export async function readContainerArchive(engine: Engine, id: string, path: string, disk?: DiskBudget): Promise<ContainerArchive> {
  const tar = await engine.stream("GET", `/containers/${id}/archive`, { query: { path }, isFinite: true }).catch((error: AppError) => {
    throw isNotFound(error) ? new AppError("FILE_NOT_FOUND", { details: { path }, cause: error }) : error;
  });
  const entries = extract();
  // The iteration over the entries throws it.
  entries.on("error", () => undefined);
  tar.on("error", (error) => entries.destroy(toAppErrorFromEngine(error)));
  tar.on("close", () => tar.readableEnded || entries.destroy(new AppError("ENGINE_ERROR", { message: "The engine broke off" })));
  const readAhead = disk && new ReadAhead(disk).on("error", (error) => entries.destroy(error));
  if (readAhead) tar.pipe(readAhead).pipe(entries);
  else tar.pipe(entries);
  const close = () => {
    tar.destroy();
    readAhead?.destroy();
    entries.destroy();
  };
  return { entries, close };
}

/**
 * The path of a tar entry below the folder that is being read; empty for the folder itself.
 * @param folder absolute path; its last part is the first part of all names, except in a tar of the root
 * @param entryName as it is in the tar
 */
export function pathInFolder(folder: string, entryName: string): string {
  const parts = entryName.split("/").filter((part) => part !== "" && part !== ".");
  return (folder === "/" ? parts : parts.slice(1)).join("/");
}

/**
 * Unpacks a tar in a container.
 * @param path absolute, of an existing folder
 * @throws AppError READ_ONLY, NO_SPACE, IN_THE_WAY
 */
export async function writeContainerArchive(engine: Engine, id: string, path: string, tar: Readable): Promise<void> {
  const options = { path, noOverwriteDirNonDir: "true" };
  try {
    await engine.send(tar, (docker) => docker.getContainer(id).putArchive(tar, options), "write");
  } catch (error) {
    throw toWriteError(error as AppError);
  }
}

/** The engine reports these cases only by the text of its message. */
function toWriteError(error: AppError): AppError {
  const { message } = error;
  const options = { message, cause: error };
  if (/read-only/i.test(message)) return new AppError("READ_ONLY", { ...options, message: `This can't be written: ${message}` });
  if (/no space left|disk quota/i.test(message))
    return new AppError("NO_SPACE", { ...options, message: `The container has no room: ${message}` });
  if (/cannot overwrite|not a directory|is a directory|file exists/i.test(message)) return new AppError("IN_THE_WAY", options);
  return error;
}
