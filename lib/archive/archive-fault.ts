import { type AppError, invalidField } from "../errors";

/** Bytes of an entry's name that an error shows. */
const SHOWN_NAME_LENGTH = 300;

/** A reason to refuse an archive, worded for the client: the message continues "the archive ...". */
export class ArchiveFault extends Error {
  /** @param entry name of the entry at fault, if one is */
  constructor(
    reason: string,
    readonly entry?: string,
  ) {
    super(reason);
  }
}

/**
 * Converts an error from reading an archive: a fault gets the entry's name unless it has one, a library's error becomes a fault.
 * @param failure how the message of a converted library error begins
 * @param entry the entry that was being read
 * @returns disk errors as they are: the archive isn't at fault
 */
export function toArchiveFault(error: unknown, failure: string, entry: string | undefined): Error {
  if (error instanceof ArchiveFault) return error.entry === undefined ? new ArchiveFault(error.message, entry) : error;
  if (error instanceof Error && "syscall" in error) return error;
  return new ArchiveFault(`${failure}: ${(error as Error).message}`, entry);
}

/**
 * The 400 for a refused archive, with the entry in its message and its details.
 * @param field of the request that held the archive
 */
export function archiveFieldError(field: string, { message, entry }: ArchiveFault): AppError {
  const shown = entry?.slice(0, SHOWN_NAME_LENGTH);
  const error = invalidField(field, `${message}${shown === undefined ? "" : `: ${shown}`}`);
  if (shown !== undefined) error.details.entry = shown;
  return error;
}
