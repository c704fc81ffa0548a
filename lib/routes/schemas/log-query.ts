import { z } from "zod";
import { invalidField } from "../../errors";
import { flag, matching, text } from "../../http/fields";

const SECONDS_PER_UNIT = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/** A number below is an age whose unit was forgotten; 0 and 1 are common for all there is. */
const SECONDS_OF_1970 = 31_536_000;

/**
 * A point in time: seconds since 1970, a date of RFC 3339, or an age (`10m`). Output: seconds since 1970 as text, with the decimals that were
 * given, up to nanoseconds: as a number they would be rounded, and lines of the log be lost.
 */
export const pointInTime = text.transform((value, context) => {
  const age = /^(\d+)([smhd])$/.exec(value);
  if (age) return String(Math.floor(Date.now() / 1000) - Number(age[1]) * SECONDS_PER_UNIT[age[2] as keyof typeof SECONDS_PER_UNIT]);
  const [, seconds, decimals = ""] = /^(\d+)(?:\.(\d+))?$/.exec(value) ?? [];
  if (Number(seconds) > 1 && Number(seconds) < SECONDS_OF_1970) {
    context.addIssue({ code: "custom", message: `would be in 1970; ${seconds} seconds ago is ${seconds}s` });
    return z.NEVER;
  }
  if (seconds !== undefined) return joinSeconds(seconds, decimals);
  const [, fraction = ""] = /:\d\d[.,](\d+)/.exec(value) ?? [];
  const time = /^\d{4}-\d\d-\d\d/.test(value) ? Date.parse(value) : Number.NaN;
  if (!Number.isNaN(time) && time >= 0) return joinSeconds(String(Math.floor(time / 1000)), fraction);
  context.addIssue({ code: "custom", message: "must be seconds since 1970, a date such as 2026-01-31T12:00:00Z, or an age such as 10m" });
  return z.NEVER;
});

/** @throws AppError INVALID_INPUT for a span of time that ends before it begins */
export function assertSpan({ since, until }: { since?: string | undefined; until?: string | undefined }): void {
  if (since !== undefined && until !== undefined && Number(until) < Number(since)) throw invalidField("until", "must not be before since");
}

const joinSeconds = (seconds: string, decimals: string) => (decimals === "" ? seconds : `${seconds}.${decimals.slice(0, 9)}`);

/** The query of the routes that answer logs. */
export const logQuery = z.object({
  tail: matching(/^(all|\d{1,9})$/, "must be a number of lines, or all")
    .transform((value) => (value === "all" ? undefined : Number(value)))
    .optional()
    .describe("Lines from the end"),
  since: pointInTime.optional().describe("Seconds since 1970, a date, or an age such as 10m"),
  until: pointInTime.optional(),
  timestamps: flag.default(false).describe("Put its time before each line"),
  follow: flag.default(false).describe("Stream as text, until the container ends"),
});
