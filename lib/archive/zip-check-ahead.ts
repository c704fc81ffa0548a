import type { Entry } from "yauzl";
import { isZipBomb, MAX_ZIP_ENTRIES } from "./limits";
import type { Spool } from "./spool";
import { DEFLATED, LOCAL_HEADER_BYTES, STORED } from "./zip-read";
import { crc32Of, isSmallEntry, type PackedEntry, unpackEntry } from "./zip-unpack";

/** Of a local file header (APPNOTE.TXT, 4.3.7). */
const LOCAL_HEADER_SIGNATURE = 0x04034b50;
/** Flags of an entry that is encrypted, or has its sizes only behind its bytes (APPNOTE.TXT, 4.4.4). */
const UNSUPPORTED_FLAGS = 0b1001;

interface CheckedEntry extends PackedEntry {
  /** offset behind the packed bytes; deflated data can end before, and the archive too */
  end: number;
}

/**
 * Checks the large files of a zip archive during its upload, by the local header before each file; the directory comes only at the end.
 * Stops at the first entry that is unusual or wrong: `checkZipContent` checks the remaining ones, and reports faults.
 * @param limit bytes that the archive may unpack to
 * @returns whether an entry of the directory is identical to one that was checked
 */
export async function checkAhead(spool: Spool, limit: number): Promise<(entry: Entry) => boolean> {
  const byOffset = new Map<number, CheckedEntry>();
  try {
    for await (const [offset, checked] of checkLocalEntries(spool, limit)) byOffset.set(offset, checked);
  } catch {
    // The check by the directory reports it, with the entry's name.
  }
  return (entry) => {
    const checked = byOffset.get(entry.relativeOffsetOfLocalHeader);
    return (
      checked !== undefined &&
      checked.end <= spool.size &&
      checked.compressionMethod === entry.compressionMethod &&
      checked.compressedSize === entry.compressedSize &&
      checked.uncompressedSize === entry.uncompressedSize &&
      checked.crc32 === entry.crc32
    );
  };
}

/** Yields the large entries that are valid, by the offset of their local header. */
async function* checkLocalEntries(spool: Spool, limit: number): AsyncGenerator<[offset: number, checked: CheckedEntry]> {
  const header = Buffer.alloc(LOCAL_HEADER_BYTES);
  let unpackedBytes = 0;
  let offset = 0;
  for (let count = 0; count < MAX_ZIP_ENTRIES; count += 1) {
    if ((await spool.readAt(header, offset)) < LOCAL_HEADER_BYTES || header.readUInt32LE(0) !== LOCAL_HEADER_SIGNATURE) return;
    if (header.readUInt16LE(6) & UNSUPPORTED_FLAGS) return;
    const packed = {
      compressionMethod: header.readUInt16LE(8),
      crc32: header.readUInt32LE(14),
      compressedSize: header.readUInt32LE(18),
      uncompressedSize: header.readUInt32LE(22),
    };
    if (packed.compressionMethod !== STORED && packed.compressionMethod !== DEFLATED) return;
    const start = offset + LOCAL_HEADER_BYTES + header.readUInt16LE(26) + header.readUInt16LE(28);
    const end = start + packed.compressedSize;
    unpackedBytes += packed.uncompressedSize;
    if (unpackedBytes > limit || isZipBomb(unpackedBytes, end)) return;
    if (!isSmallEntry(packed)) {
      if ((await crc32Of(unpackEntry(spool, start, packed))) !== packed.crc32) return;
      yield [offset, { ...packed, end }];
    }
    offset = end;
  }
}
