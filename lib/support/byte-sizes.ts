/** A size as Docker's options take it. */
export const SIZE_PATTERN = /^\d+(?:\.\d+)?[bkmgBKMG]?$/;
export const SIZE_FORMS = "a size, such as 512m or a number of bytes";

const BYTES_PER_UNIT: Record<string, number> = { b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/** @param size of `SIZE_PATTERN` */
export function toBytes(size: string): number {
  const [, count = "0", unit = "b"] = /^([\d.]+)([a-z]?)$/.exec(size.toLowerCase()) ?? [];
  return Number(count) * (BYTES_PER_UNIT[unit] ?? 1);
}
