import type { z } from "zod";
import { invalidField } from "../errors";

/**
 * Validates one part of a request.
 * @param value the params, query or body as received
 * @returns the output of the schema
 * @throws AppError INVALID_INPUT that names the first invalid field
 */
export function readInput<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0] as z.core.$ZodIssue;
  if (issue.code === "unrecognized_keys") throw invalidField([...issue.path, issue.keys[0]].join("."), "is not known here");
  const field = issue.path.join(".") || "body";
  if (valueAt(value, issue.path) === undefined) throw invalidField(field, "is required");
  if (issue.code === "invalid_key") throw invalidField(field, issue.issues[0]?.message ?? "is not a valid name");
  throw invalidField(field, issue.message);
}

function valueAt(value: unknown, path: PropertyKey[]): unknown {
  return path.reduce<unknown>((current, key) => (current as Record<PropertyKey, unknown> | undefined)?.[key], value);
}
