import type { Readable } from "node:stream";
import { type Extract, extract } from "tar-stream";
import type { Engine } from "../docker/engine";
import { fromEngine } from "../docker/engine-errors";
import { AppError, isNotFound } from "../errors";

export type TarStreamEntry = Extract extends AsyncIterable<infer Entry> ? Entry : never;

/** What of a container's files the engine has begun to send, as a tar. */
export interface ContainerArchive {
  entries: Extract;
  /** Ends the conversation. */
  close(): void;
}

/**
 * Begins to read a file, or a folder with all that is in it.
 * @param path absolute, without links
 * @throws AppError FILE_NOT_FOUND if it is gone
 */
export async function readContainerArchive(engine: Engine, id: string, path: string): Promise<ContainerArchive> {
  const tar = await engine.stream("GET", `/containers/${id}/archive`, { query: { path } }).catch((error: AppError) => {
    throw isNotFound(error) ? new AppError("FILE_NOT_FOUND", { details: { path }, cause: error }) : error;
  });
  const entries = extract();
  // Whoever reads the entries gets it.
  entries.on("error", () => undefined);
  tar.on("error", (error) => entries.destroy(fromEngine(error)));
  tar.on("close", () => tar.readableEnded || entries.destroy(new AppError("ENGINE_ERROR", { message: "The engine broke off" })));
  tar.pipe(entries);
  const end = () => {
    tar.destroy();
    entries.destroy();
  };
  return { entries, close: end };
}

/**
 * Where in a folder that is being read an entry lies; empty for the folder itself.
 * @param folder absolute: its own name comes first in all but a tar of the root, which has none
 * @param name the entry's in the tar
 */
export function pathInFolder(folder: string, name: string): string {
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  return (folder === "/" ? parts : parts.slice(1)).join("/");
}

/**
 * Unpacks a tar in a container.
 * @param path absolute, of a folder that is there
 * @throws AppError READ_ONLY, NO_SPACE, IN_THE_WAY
 */
export async function writeContainerArchive(engine: Engine, id: string, path: string, tar: Readable): Promise<void> {
  const options = { path, noOverwriteDirNonDir: "true" };
  try {
    await engine.send(tar, (docker, abortSignal) => docker.getContainer(id).putArchive(tar, { ...options, abortSignal }), "write");
  } catch (error) {
    throw typed(error as AppError);
  }
}

function typed(error: AppError): AppError {
  const { message } = error;
  const options = { message, cause: error };
  if (/read-only/i.test(message)) return new AppError("READ_ONLY", { ...options, message: `This can't be written: ${message}` });
  if (/no space left|disk quota/i.test(message))
    return new AppError("NO_SPACE", { ...options, message: `The container has no room: ${message}` });
  if (/cannot overwrite|not a directory|is a directory|file exists/i.test(message)) return new AppError("IN_THE_WAY", options);
  return error;
}
