import type { Entry } from "yauzl";
import type { Spool } from "./spool";
import { DEFLATED, isSuspicious, LOCAL_HEADER, MOST_ENTRIES, STORED } from "./zip-read";
import { isSmall, type Packed, sumOf, unpacked } from "./zip-unpack";

/** APPNOTE.TXT of the zip format, 4.3.7. */
const SIGNATURE = 0x04034b50;
/** Encrypted, or with its sizes behind its bytes. */
const UNKNOWN = 0b1001;

interface Checked extends Packed {
  /** of its packed bytes: what is packed may end before, and the archive too */
  end: number;
}

/**
 * Checks the large files of a zip archive while it still comes in: they lie there in a row, each behind a header of its own, and its
 * directory only at the end. Wherever it meets what it doesn't expect it stops: what it hasn't checked is checked by the directory.
 * @param limit bytes that it may unpack to
 * @returns whether an entry of the directory is one of those that are what they say
 */
export async function checkAhead(spool: Spool, limit: number): Promise<(entry: Entry) => boolean> {
  const checked = new Map<number, Checked>();
  try {
    await walk(spool, limit, checked);
  } catch {
    // Told, with the name of the entry, when the directory is there.
  }
  return (entry) => {
    const same = checked.get(entry.relativeOffsetOfLocalHeader);
    return (
      same !== undefined &&
      same.end <= spool.size &&
      same.compressionMethod === entry.compressionMethod &&
      same.compressedSize === entry.compressedSize &&
      same.uncompressedSize === entry.uncompressedSize &&
      same.crc32 === entry.crc32
    );
  };
}

async function walk(spool: Spool, limit: number, checked: Map<number, Checked>): Promise<void> {
  const header = Buffer.alloc(LOCAL_HEADER);
  let bytes = 0;
  let at = 0;
  for (let entries = 0; entries < MOST_ENTRIES; entries++) {
    if ((await spool.read(header, at)) < LOCAL_HEADER || header.readUInt32LE(0) !== SIGNATURE) return;
    if (header.readUInt16LE(6) & UNKNOWN) return;
    const packed = {
      compressionMethod: header.readUInt16LE(8),
      crc32: header.readUInt32LE(14),
      compressedSize: header.readUInt32LE(18),
      uncompressedSize: header.readUInt32LE(22),
    };
    if (packed.compressionMethod !== STORED && packed.compressionMethod !== DEFLATED) return;
    const start = at + LOCAL_HEADER + header.readUInt16LE(26) + header.readUInt16LE(28);
    const end = start + packed.compressedSize;
    bytes += packed.uncompressedSize;
    if (bytes > limit || isSuspicious(bytes, end)) return;
    if (!isSmall(packed)) {
      if ((await sumOf(unpacked(spool, start, packed))) !== packed.crc32) return;
      checked.set(at, { ...packed, end });
    }
    at = end;
  }
}
