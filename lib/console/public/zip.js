// Writes zip archives (APPNOTE.TXT of PKWARE) whose entries are stored: the server unpacks them at once, so that packing saves nothing.

import { T } from "./strings.js";

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** The checksum of a file, which is read piece by piece. @param {Blob} data */
async function crc32(data) {
  let crc = 0xffffffff;
  const reader = data.stream().getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read())
    for (const byte of piece.value) crc = /** @type {number} */ (CRC_TABLE[(crc ^ byte) & 0xff]) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

const LOCAL_HEADER = 0x04034b50;
const CENTRAL_HEADER = 0x02014b50;
const END_OF_DIRECTORY = 0x06054b50;
/** Leaves room for the directory below the 4 GB that the fields of the archive can tell. */
const MAX_BYTES = 4_200_000_000;
const VERSION = 20;
/** The name is UTF-8. */
const UTF8_FLAG = 0x0800;
/** 1 January 1980, the first day that a zip knows. */
const FIRST_DAY = 33;

/**
 * Makes a zip archive. It refers to its files: they are on the disk, and are read again as the archive is sent.
 * @param {{name: string, data: Blob}[]} files
 * @returns {Promise<Blob>}
 * @throws {Error} for 4 GB or more, which this format can't hold
 */
export async function zipOf(files) {
  if (files.reduce((sum, { data }) => sum + data.size, 0) > MAX_BYTES) throw new Error(T.tooLarge);
  /** @type {(Blob | Uint8Array<ArrayBuffer>)[]} */
  const parts = [];
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const directory = [];
  let offset = 0;
  for (const { name, data } of files) {
    const nameBytes = new TextEncoder().encode(name);
    const common = [
      [2, VERSION],
      [2, UTF8_FLAG],
      [2, 0],
      [2, 0],
      [2, FIRST_DAY],
      [4, await crc32(data)],
      [4, data.size],
      [4, data.size],
      [2, nameBytes.length],
      [2, 0],
    ];
    const local = fields([[4, LOCAL_HEADER], ...common]);
    parts.push(local, nameBytes, data);
    directory.push(fields([[4, CENTRAL_HEADER], [2, VERSION], ...common, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]]), nameBytes);
    offset += local.length + nameBytes.length + data.size;
  }
  const directoryBytes = directory.reduce((sum, each) => sum + each.length, 0);
  const end = [
    [4, END_OF_DIRECTORY],
    [2, 0],
    [2, 0],
    [2, files.length],
    [2, files.length],
    [4, directoryBytes],
    [4, offset],
    [2, 0],
  ];
  return new Blob([...parts, ...directory, fields(end)], { type: "application/zip" });
}

/**
 * Numbers in little-endian order.
 * @param {number[][]} list pairs of bytes and value
 */
function fields(list) {
  const bytes = new Uint8Array(list.reduce((sum, [width = 0]) => sum + width, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [width = 0, value = 0] of list) {
    if (width === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += width;
  }
  return bytes;
}
