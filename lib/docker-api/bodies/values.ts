import { z } from "zod";

// Building blocks of the tables of fields. As in the engine's own types, nothing is converted: a number in quotes is a mistake.

export const text = z.string({ error: "must be text" });
export const flag = z.boolean({ error: "must be true or false" });
export const integer = z.int({ error: "must be a whole number that JSON holds exactly" });
export const texts = z.array(text, { error: "must be a list of texts" });

/** A list of texts, or one text, as the engine takes commands and capabilities. */
export const textOrTexts = z
  .union([text, texts], { error: "must be a list of texts" })
  .transform((value) => (typeof value === "string" ? [value] : value));

/** A map from text to text. */
export const textMap = z.record(text, text, { error: "must be a map of texts" });

/** A set, which the engine writes as a map to empty objects. */
export const textSet = z.record(text, z.strictObject({}).nullable(), { error: "must be a map to empty objects" });

/** A text that matches. */
export const matching = (pattern: RegExp, error: string) => text.regex(pattern, { error });
