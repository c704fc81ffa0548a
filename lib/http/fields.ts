import { z } from "zod";
import { splitShellWords } from "../support/shell-words";

// Building blocks of input schemas. Each accepts JSON values, and the strings or nested maps of a form or a query.

const BOOLEAN_WORDS = { true: true, "1": true, yes: true, on: true, false: false, "0": false, no: false, off: false, "": false } as const;

/** A boolean, or its word in a form: `remove=false` is false. */
export const flag = z
  .union([z.boolean(), z.enum(Object.keys(BOOLEAN_WORDS) as (keyof typeof BOOLEAN_WORDS)[])], { error: "must be true or false" })
  .transform((value) => (typeof value === "boolean" ? value : BOOLEAN_WORDS[value]));

/** A string without NUL characters. */
export const text = z.string({ error: "must be text" }).regex(/^[^\0]*$/, { error: "must not hold a NUL character" });

/** A string that matches a pattern. @param error may depend on the value */
export const matching = (pattern: RegExp, error: string | ((issue: { input?: unknown }) => string)) =>
  z.string({ error }).regex(pattern, { error });

/** A number, or its digits; both limits are included. */
export const number = (min: number, max: number) => {
  const error = `must be a number from ${min} to ${max}`;
  return z
    .union([z.number(), z.string().regex(/^-?\d+(\.\d+)?$/, { error })], { error })
    .transform(Number)
    .pipe(z.number().min(min, { error }).max(max, { error }));
};

/** A whole number, or its digits; both limits are included. */
export const integer = (min: number, max: number) => {
  const error = `must be a whole number from ${min} to ${max}`;
  return z
    .union([z.number(), z.string().regex(/^-?\d+$/, { error })], { error })
    .transform(Number)
    .pipe(z.number().int({ error }).min(min, { error }).max(max, { error }));
};

/** A string; a number or boolean is converted to one, as in `{"env": {"PORT": 80}}`. */
export const scalar = z.union([text, z.number(), z.boolean()], { error: "must be text" }).transform(String);

/** A map from names to values. */
export const map = <K extends z.ZodType<string, string>, V extends z.ZodType>(
  key: K,
  value: V,
  error = 'must be a map, such as {"NAME": "VALUE"}, or in a form FIELD[NAME]=VALUE',
) => z.record(key, value, { error });

/**
 * The items of a list, however the client wrote it: JSON, one text, or in a form `field=a&field=b`, `field[]=a` or `field[0]=a`.
 * @param isItem tells a text of a list from the value of a map whose names are digits: both are written `field[0]=a`
 * @returns undefined if the value is no list
 */
export function listItems(value: unknown, isItem: (value: unknown) => boolean): unknown[] | undefined {
  if (Array.isArray(value)) return value;
  if (typeof value === "string") return [value];
  if (typeof value !== "object" || value === null) return undefined;
  const entries = Object.entries(value);
  const isList = entries.every(([name, field]) => /^\d*$/.test(name) && (name === "" || Array.isArray(field) || isItem(field)));
  return isList && entries.length > 0 ? entries.flatMap(([, field]) => field as unknown) : undefined;
}

/** A list; in a form `field[0]=a&field[1]=b` or `field[]=a`. A single value becomes a list of one. */
export const list = <T extends z.ZodType<string, unknown>>(item: T) =>
  z
    .union([z.array(item), z.record(z.string().regex(/^\d*$/), z.union([item, z.array(item)])), item], { error: "must be a list of texts" })
    .transform(
      (value) =>
        (Array.isArray(value) ? value : typeof value === "object" && value !== null ? Object.values(value).flat() : [value]) as string[],
    );

/** Linux's PATH_MAX. Docker hangs on a command with a far longer name, while it builds the error. */
const MAX_PATH_BYTES = 4096;

const jsonWords = z.array(scalar);

/** @throws Error whose message says what a command must be */
function wordsOf(text: string): string[] {
  // The command `[` has a space behind it, as in `[ "a" = "b" ]`.
  const isList = /^\s*\[["']/.test(text);
  try {
    return isList ? jsonWords.parse(JSON.parse(text)) : splitShellWords(text);
  } catch (error) {
    throw new Error(
      isList
        ? 'must be a list such as ["sh","-c","echo hello"]: this text begins like one, and is no JSON list of texts'
        : `can't be split into words: ${(error as Error).message}`,
    );
  }
}

/** A command: a list of words, or a string that is split into words as a shell would do it; no shell runs it. */
export const command = z
  .union([text, z.array(scalar), z.record(z.string().regex(/^\d*$/), z.union([text, z.array(text)]))], {
    error: "must be a command: text or a list of words",
  })
  .transform((value, context) => {
    try {
      const words = typeof value === "string" ? wordsOf(value) : (Object.values(value).flat() as string[]);
      if (Buffer.byteLength(words[0] ?? "") <= MAX_PATH_BYTES) return words;
      context.addIssue({ code: "custom", message: "must begin with a command, and this is longer than any path" });
    } catch (error) {
      context.addIssue({ code: "custom", message: (error as Error).message });
    }
    return z.NEVER;
  });
