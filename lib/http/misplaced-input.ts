import { z } from "zod";
import { invalidField } from "../errors";

const MAX_SHOWN_LENGTH = 100;

/** @throws AppError INVALID_INPUT for a parameter of the query that is a field of the body */
export function refuseFieldsInQuery(query: object, { shape }: z.ZodObject, body: z.ZodType | undefined): void {
  if (!(body instanceof z.ZodObject)) return;
  const misplaced = Object.keys(query).find((name) => !Object.hasOwn(shape, name) && Object.hasOwn(body.shape, name));
  if (misplaced !== undefined) throw invalidField(misplaced, "is no parameter of the address here, but a field of the body");
}

/** @throws AppError INVALID_INPUT for a field of the body that is a parameter of the address */
export function refuseParametersInBody(fields: object, query: z.ZodType | undefined, { shape }: z.ZodObject): void {
  if (!(query instanceof z.ZodObject)) return;
  const misplaced = Object.entries(fields).find(([name]) => !Object.hasOwn(shape, name) && Object.hasOwn(query.shape, name));
  if (!misplaced) return;
  const [name, value] = misplaced;
  const isShort = typeof value === "boolean" || typeof value === "number" || (typeof value === "string" && value.length < MAX_SHOWN_LENGTH);
  const parameter = isShort ? new URLSearchParams([[name, String(value)]]) : `${name}=VALUE`;
  throw invalidField(name, `is no field of the body here, but a parameter of the address: ?${parameter}`);
}
