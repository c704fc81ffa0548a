import { z } from "zod";
import { splitShellWords } from "../support/shell-words";

/** Building blocks of input schemas. Each takes JSON and, as text or nested map, what a form or a query can carry. */

const WORDS_OF_TRUTH = { true: true, "1": true, yes: true, on: true, false: false, "0": false, no: false, off: false, "": false } as const;

/** true or false, also as the words a form carries: `remove=false` is false. */
export const flag = z
  .union([z.boolean(), z.enum(Object.keys(WORDS_OF_TRUTH) as (keyof typeof WORDS_OF_TRUTH)[])], { error: "must be true or false" })
  .transform((value) => (typeof value === "boolean" ? value : WORDS_OF_TRUTH[value]));

/** Text without NUL characters. */
export const text = z.string({ error: "must be text" }).regex(/^[^\0]*$/, { error: "must not hold a NUL character" });

/** Text of a known form. */
export const matching = (form: RegExp, error: string) => z.string({ error }).regex(form, { error });

/** A number, also as digits. */
export const number = (low: number, high: number) => {
  const error = `must be a number from ${low} to ${high}`;
  return z
    .union([z.number(), z.string().regex(/^-?\d+(\.\d+)?$/, { error })], { error })
    .transform(Number)
    .pipe(z.number().min(low, { error }).max(high, { error }));
};

/** A whole number, also as digits. */
export const integer = (low: number, high: number) => {
  const error = `must be a whole number from ${low} to ${high}`;
  return z
    .union([z.number(), z.string().regex(/^-?\d+$/, { error })], { error })
    .transform(Number)
    .pipe(z.number().int({ error }).min(low, { error }).max(high, { error }));
};

/** Text, or a number or truth value taken as text, as in `{"env": {"PORT": 80}}`. */
export const scalar = z.union([text, z.number(), z.boolean()], { error: "must be text" }).transform(String);

/** A map of names to values. */
export const map = <K extends z.ZodType<string, string>, V extends z.ZodType>(key: K, value: V) =>
  z.record(key, value, { error: "must be a map" });

/** A list; a form writes it `field[0]=a&field[1]=b` or `field[]=a`, and a single value is a list of one. */
export const list = <T extends z.ZodType<string, unknown>>(item: T) =>
  z
    .union([z.array(item), z.record(z.string().regex(/^\d*$/), z.union([item, z.array(item)])), item], { error: "must be a list of texts" })
    .transform(
      (value) =>
        (Array.isArray(value) ? value : typeof value === "object" && value !== null ? Object.values(value).flat() : [value]) as string[],
    );

/** Linux knows no longer ones (bytes). Engines hang on far longer ones, as they try to tell that there is no such file. */
const LONGEST_PATH = 4096;

/** A command: a list of words, or a text that is split into words as a shell would split it, and never run by one. */
export const command = z
  .union([text, z.array(scalar), z.record(z.string().regex(/^\d*$/), z.union([text, z.array(text)]))], {
    error: "must be a command: text or a list of words",
  })
  .transform((value, context) => {
    try {
      const words = typeof value === "string" ? splitShellWords(value) : (Object.values(value).flat() as string[]);
      if (Buffer.byteLength(words[0] ?? "") <= LONGEST_PATH) return words;
      context.addIssue({ code: "custom", message: "must begin with a command, and this is longer than any path" });
    } catch (error) {
      context.addIssue({ code: "custom", message: `can't be split into words: ${(error as Error).message}` });
    }
    return z.NEVER;
  });
