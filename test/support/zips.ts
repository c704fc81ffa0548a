import { crc32, deflateRawSync } from "node:zlib";

/** An entry of a zip archive. The optional fields are written unchanged, valid or not. */
export interface ZipPart {
  name: string | Buffer;
  data?: string | Buffer;
  /** st_mode, for the upper half of the attributes; 0o100644 if absent */
  mode?: number;
  flags?: number;
  /** 8 compresses the data; any other value is only written into the headers */
  method?: number;
  /** written instead of the true values, as are `size` and `packedSize` */
  crc?: number;
  size?: number;
  /** position in the archive of an earlier local header; no new one is written then */
  offset?: number;
  packedSize?: number;
}

/** Compressed buffers, because tests put the same large buffer into many archives. */
const packedBuffers = new WeakMap<Buffer, Buffer>();
function deflated(given: string | Buffer, bytes: Buffer): Buffer {
  if (typeof given === "string") return deflateRawSync(bytes);
  const packed = packedBuffers.get(given) ?? deflateRawSync(bytes);
  packedBuffers.set(given, packed);
  return packed;
}

/** A zip archive of exactly these entries, with unchanged names. */
export function zipOf(parts: readonly ZipPart[] | Record<string, string | Buffer>): Buffer {
  const given: ZipPart[] = Array.isArray(parts) ? parts : Object.entries(parts).map(([name, data]) => ({ name, data }));
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const part of given) {
    const name = Buffer.from(part.name as string);
    const data = Buffer.from((part.data ?? "") as string);
    const method = part.method ?? 0;
    const packed = method === 8 ? deflated(part.data ?? "", data) : data;
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(part.flags ?? 0x800, 2);
    common.writeUInt16LE(method, 4);
    common.writeUInt32LE(0x58210000, 6); // a day of 2024
    common.writeUInt32LE(part.crc ?? crc32(data), 10);
    common.writeUInt32LE(part.packedSize ?? packed.length, 14);
    common.writeUInt32LE(part.size ?? data.length, 18);
    common.writeUInt16LE(name.length, 22);
    const offset = part.offset ?? at;
    if (part.offset === undefined) {
      const local = Buffer.concat([Buffer.from("PK\x03\x04"), common, name, packed]);
      locals.push(local);
      at += local.length;
    }
    const entry = Buffer.alloc(46);
    entry.write("PK\x01\x02", 0, "latin1");
    entry.writeUInt16LE(0x031e, 4);
    common.copy(entry, 6);
    entry.writeUInt32LE(((part.mode ?? 0o100644) << 16) >>> 0, 38);
    entry.writeUInt32LE(offset, 42);
    directory.push(Buffer.concat([entry, name]));
  }
  const whole = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", 0, "latin1");
  end.writeUInt16LE(given.length & 0xffff, 8);
  end.writeUInt16LE(given.length & 0xffff, 10);
  end.writeUInt32LE(whole.length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...locals, whole, end]);
}
