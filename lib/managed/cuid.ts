import { createHash, randomInt } from "node:crypto";

const BASE = 36;
/** Characters after the leading c. */
const LENGTH = 24;
/** of them the time, which in this many is enough until 2059 */
const TIME = 8;

/** What one looks like. A Compose project of any other name is somebody else's, whatever labels its containers have. */
export const CUID = new RegExp(`^c[a-z0-9]{${LENGTH}}$`);

/**
 * Makes a cuid: c, the time, and chance, 25 characters of a-z and 0-9. It is a name for a container, a volume and a Compose project alike.
 * @param key an Idempotency-Key: the same key makes the same cuid
 */
export function newCuid(key?: string): string {
  if (key !== undefined) return `c${digits(BigInt(`0x${createHash("sha256").update(key).digest("hex")}`))}`;
  const time = Date.now().toString(BASE).padStart(TIME, "0").slice(-TIME);
  const chance = Array.from({ length: LENGTH - TIME }, () => randomInt(BASE).toString(BASE));
  return `c${time}${chance.join("")}`;
}

const digits = (number: bigint) => number.toString(BASE).padStart(LENGTH, "0").slice(-LENGTH);
