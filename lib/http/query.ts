import type { Request } from "express";
import { z } from "zod";
import { flag } from "./fields";
import { readInput } from "./input";
import { refuseFieldsInQuery } from "./misplaced-input";
import type { Route } from "./route";

/** Query parameters: of every route the node to run on, and of those that choose one whether the choice is to be explained. */
const COMMON_QUERY = { node: z.string().min(1).optional() };
const PLACED_QUERY = { ...COMMON_QUERY, explain: flag.optional() };

/** The schema of a route's query with the parameters that are common to all. */
export function querySchema(route: Route): z.ZodObject {
  return (route.query ?? z.object({})).extend(route.where.at === "bestNode" ? PLACED_QUERY : COMMON_QUERY).strict();
}

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
