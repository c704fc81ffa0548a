/** Whether a byte continues a UTF-8 character that an earlier byte began. */
function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}

/** The bytes from the first start of a UTF-8 character on: a cut can leave up to 3 bytes of a split character at the beginning. */
export function dropSplitStart(bytes: Buffer): Buffer {
  let start = 0;
  while (start < 3 && isContinuation(bytes[start] ?? 0)) start += 1;
  return bytes.subarray(start);
}

/** How many bytes at the end (0 to 3) begin a UTF-8 character that is not complete. */
export function splitEndLength(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] as number;
    if (isContinuation(byte)) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return back < length ? back : 0;
  }
  return 0;
}
