import { z } from "zod";
import type { Access } from "../../access/access";
import type { Policy } from "../../docker/create/policy";
import { AppError } from "../../errors";
import { readInput } from "../../http/input";
import { parseStrictJson } from "./strict-json";

/** What bodies are judged by. */
export interface BodyContext {
  /** what this server allows */
  policy: Policy;
  /** what the client may do */
  access: Access;
}

/** Refuses a value of a field. */
type Judge<V> = (value: V, policy: Policy, field: string) => void;

/** What is known of one field of a body. */
export interface Field<S extends z.ZodType = z.ZodType> {
  schema: S;
  /** harmless: any valid value passes; checked: the policy judges it; dropped: accepted from clients that send it, never sent on */
  kind: "harmless" | "checked" | "dropped";
  judge?: Judge<never>;
}

/** All fields of an object in a body, in the only spelling that is accepted. */
export type Fields = Record<string, Field>;

/** The value that a table of fields accepts. */
export type ValueOf<F extends Fields> = { [K in keyof F]?: z.output<F[K]["schema"]> | null | undefined };

export const harmless = <S extends z.ZodType>(schema: S): Field<S> => ({ schema, kind: "harmless" });

/** @param judge is called for every value that is not null */
export const checked = <S extends z.ZodType>(schema: S, judge: Judge<z.output<S>>): Field<S> => ({ schema, kind: "checked", judge });

export const dropped = (schema: z.ZodType = z.unknown()): Field => ({ schema, kind: "dropped" });

/** Whether the engine takes a key for the field: Go compares without regard to case, and folds `\u212a` and `\u017f` to k and s. */
export function isLike(key: string, field: string): boolean {
  const fold = (text: string) => text.toUpperCase().toLowerCase();
  return fold(key) === fold(field);
}

/** An object with only these fields, each of which may be null as Go's encoder writes it. */
export function struct<F extends Fields>(fields: F): z.ZodType<ValueOf<F>> {
  const shape = Object.fromEntries(Object.entries(fields).map(([name, { schema }]) => [name, schema.nullish()]));
  return z.strictObject(shape).transform((value) => {
    for (const [name, { kind }] of Object.entries(fields)) if (kind === "dropped") delete value[name];
    return value as ValueOf<F>;
  });
}

/**
 * Judges every field of a valid object.
 * @param prefix of the fields' names, such as `HostConfig.`
 * @throws AppError NOT_ALLOWED, REFUSED_BY_TOKEN, INVALID_INPUT
 */
export function judgeFields(fields: Fields, value: object, policy: Policy, prefix = ""): void {
  for (const [name, { judge }] of Object.entries(fields)) {
    const given = (value as Record<string, unknown>)[name];
    if (judge && given !== undefined && given !== null) judge(given as never, policy, prefix + name);
  }
}

/** A field that is an object itself. */
export function nested<F extends Fields>(fields: F): Field<z.ZodType<ValueOf<F>>> {
  return checked(struct(fields), (value, policy, field) => judgeFields(fields, value as object, policy, `${field}.`));
}

/** A map from names to such objects. */
export function nestedMap<F extends Fields>(fields: F): Field<z.ZodType<Record<string, ValueOf<F> | null>>> {
  const schema = z.record(z.string(), struct(fields).nullable(), { error: "must be a map to objects" });
  return checked(schema, (value, policy, field) => {
    for (const [name, each] of Object.entries(value)) if (each) judgeFields(fields, each, policy, `${field}.${name}.`);
  });
}

/** Reads and judges a body; what is sent on is the serialisation of the result, never the client's bytes. */
export type BodyReader<F extends Fields> = (raw: Buffer | undefined, context: BodyContext) => ValueOf<F>;

/**
 * Makes the reader of bodies with these fields.
 * @returns it throws AppError INVALID_BODY, INVALID_INPUT, NOT_ALLOWED, REFUSED_BY_TOKEN
 */
export function bodyReader<F extends Fields>(fields: F): BodyReader<F> {
  const schema = struct(fields);
  return (raw, { policy, access }) => {
    if (raw === undefined || raw.length === 0) throw new AppError("INVALID_BODY", { message: "A body of JSON is required" });
    const value = readInput(schema, parseStrictJson(raw));
    judgeFields(fields, value as object, { ...policy, access });
    return value;
  };
}
