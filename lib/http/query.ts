import type { Request } from "express";
import type { z } from "zod";
import { readInput } from "./input";
import { refuseFieldsInQuery } from "./misplaced-input";

/**
 * Reads the parameters of the address. A flag that is named without a value, as in `?all`, is true.
 * @param schema of the query, as `querySchema` makes it
 * @param body of the same route, whose fields are refused here
 * @throws AppError INVALID_INPUT
 */
export function readQuery(schema: z.ZodObject, { query, url }: Pick<Request, "query" | "url">, body: z.ZodType | undefined): object {
  refuseFieldsInQuery(query, schema, body);
  const read = readInput(schema, query);
  for (const name of namesWithoutValue(url)) if (read[name] === false) read[name] = true;
  return read;
}

function namesWithoutValue(url: string): string[] {
  const start = url.indexOf("?");
  return start < 0
    ? []
    : url
        .slice(start + 1)
        .split("&")
        .filter((part) => !part.includes("="));
}
