import { createHash, randomInt } from "node:crypto";

const RADIX = 36;
/** Characters after the leading c. */
const BODY_LENGTH = 24;
/** Of these, characters that hold the time in ms; sufficient until 2059. */
const TIME_LENGTH = 8;

/** A container whose name does not match is never treated as managed, whatever its labels say. */
export const CUID_PATTERN = new RegExp(`^c[a-z0-9]{${BODY_LENGTH}}$`);

/**
 * Makes a cuid: `c`, the time and random characters; 25 characters of a-z and 0-9. It is a valid name of a container, a volume and a
 * Compose project.
 * @param key an Idempotency-Key: the same key makes the same cuid
 */
export function newCuid(key?: string): string {
  if (key !== undefined) return `c${digits(BigInt(`0x${createHash("sha256").update(key).digest("hex")}`))}`;
  const time = Date.now().toString(RADIX).padStart(TIME_LENGTH, "0").slice(-TIME_LENGTH);
  const random = Array.from({ length: BODY_LENGTH - TIME_LENGTH }, () => randomInt(RADIX).toString(RADIX));
  return `c${time}${random.join("")}`;
}

const digits = (number: bigint) => number.toString(RADIX).padStart(BODY_LENGTH, "0").slice(-BODY_LENGTH);
