import { AppError } from "../errors";
import { ArchiveFault } from "./archive-fault";

/** Linux's PATH_MAX and NAME_MAX (bytes). */
export const MAX_PATH_BYTES = 4096;
export const MAX_NAME_BYTES = 255;
/** Steps of following links that checking one archive may take. */
export const MAX_LINK_STEPS = 200_000;
/** Characters of all names in one archive together, each parent folder counted once. */
export const MAX_NAMES_LENGTH = 50_000_000;

/** Entries in one archive. A zip's directory is read without unpacking, so it may have more. */
export const MAX_TAR_ENTRIES = 50_000;
export const MAX_ZIP_ENTRIES = 100_000;

/** A zip that unpacks to more than this (bytes) is limited to this multiple of its own size. */
const RATIO_CHECKED_FROM_BYTES = 100_000_000;
export const MAX_UNPACK_RATIO = 200;

/** @throws ArchiveFault */
export function checkEntryCount(count: number, limit: number): void {
  if (count > limit) throw new ArchiveFault(`has more than ${limit} entries`);
}

/** @param unpackedBytes size after unpacking, as far as known */
export function isZipBomb(unpackedBytes: number, packedBytes: number): boolean {
  return unpackedBytes > RATIO_CHECKED_FROM_BYTES && unpackedBytes > packedBytes * MAX_UNPACK_RATIO;
}

/** @param limit bytes */
export function contentTooLarge(limit: number): AppError {
  return new AppError("CONTENT_TOO_LARGE", { message: `More than ${limit} bytes are not taken`, details: { limit } });
}
