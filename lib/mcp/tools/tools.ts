import { z } from "zod";
import type { Access } from "../access/access";
import { AppError, invalidField } from "../errors";
import { readInput } from "../http/input";
import { isReserved, type Route } from "../http/route";
import { jsonSchema } from "../openapi/json-schema";

/** Query fields that make an answer a stream: not offered, because a tool's answer is one object. */
const STREAMING_FIELDS = new Set(["follow", "stream"]);
const NODE_FIELD = z.string().optional().describe("The node to run on; chosen or found by itself if absent");

/** A tool as `tools/list` shows it. */
export interface ToolDoc {
  name: string;
  description: string;
  inputSchema: { type: "object"; [key: string]: unknown };
  annotations: { readOnlyHint: boolean; destructiveHint?: boolean; idempotentHint?: boolean };
}

/** The HTTP request that a tool call stands for. */
export interface ToolRequest {
  method: string;
  path: string;
  body: object | undefined;
}

type Arguments = Record<string, unknown>;

/** The routes that are tools, and the translation of calls into requests. */
export class Tools {
  private readonly byName: Map<string, { route: Route; fields: z.ZodObject }>;

  constructor(routes: Route[]) {
    const tools = routes.flatMap((route) =>
      route.mcpTool === undefined ? [] : [[route.mcpTool, { route, fields: toolFields(route) }] as const],
    );
    this.byName = new Map(tools);
    if (this.byName.size < tools.length) throw new Error("two routes have the same tool name");
  }

  /** @returns the names of the tools that the client may call */
  names(access: Access): string[] {
    return this.list(access).map(({ name }) => name);
  }

  /** @returns the tools that the client may call */
  list(access: Access): ToolDoc[] {
    return [...this.byName]
      .filter(([, { route }]) => access.mayCall(route))
      .map(([name, { route, fields }]) => ({
        name,
        description: route.summary,
        inputSchema: { type: "object", ...jsonSchema(fields, "input") },
        annotations: toAnnotations(route),
      }));
  }

  /**
   * Translates a call into a request. Only what could address another route is validated here; the route validates the rest.
   * @returns undefined if there is no such tool
   * @throws AppError naming the argument at fault
   */
  toRequest(name: string, given: Arguments): ToolRequest | undefined {
    const tool = this.byName.get(name);
    if (!tool) return undefined;
    const { route, fields } = tool;
    const unknownField = Object.keys(given).find((field) => !Object.hasOwn(fields.shape, field));
    if (unknownField !== undefined) throw invalidField(unknownField, "is not known here");
    const { params, query, body } = splitArguments(route, given);
    if (route.params) readInput(route.params, params);
    const path = route.path.replace(/[:*](\w+)/g, (_all, field: string) =>
      String(params[field]).split("/").map(encodeURIComponent).join("/"),
    );
    const [, first = ""] = path.split("/");
    if (/^\/[:*]/.test(route.path) && isReserved(first))
      throw new AppError("CONTAINER_NOT_FOUND", {
        message: `${first} is a word of this API, and no container's name`,
        details: { id: first },
      });
    const search = toQueryString(query);
    return { method: route.method.toUpperCase(), path: search === "" ? path : `${path}?${search}`, body: route.body && body };
  }
}

function toolFields(route: Route): z.ZodObject {
  const shape = { ...route.body?.shape, ...route.query?.shape, ...route.params?.shape };
  const whole = Object.entries(shape).filter(([name]) => !STREAMING_FIELDS.has(name));
  return z.object({ ...Object.fromEntries(whole), node: NODE_FIELD }).strict();
}

function toAnnotations({ method }: Route): ToolDoc["annotations"] {
  if (method === "get" || method === "head") return { readOnlyHint: method === "get" };
  if (method === "delete") return { readOnlyHint: false, destructiveHint: true, idempotentHint: true };
  return method === "put" ? { readOnlyHint: false, destructiveHint: false } : { readOnlyHint: false };
}

function splitArguments(route: Route, given: Arguments): { params: Arguments; query: Arguments; body: Arguments } {
  const parts = { params: {}, query: {}, body: {} } as Record<"params" | "query" | "body", Arguments>;
  for (const [name, value] of Object.entries(given)) {
    const isParam = Object.hasOwn(route.params?.shape ?? {}, name);
    const isQuery = name === "node" || Object.hasOwn(route.query?.shape ?? {}, name);
    parts[isParam ? "params" : isQuery ? "query" : "body"][name] = value;
  }
  return parts;
}

function toQueryString(query: Arguments): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item === null || typeof item === "object") throw invalidField(name, "must be text, a number, true or false");
      search.append(name, String(item));
    }
  }
  return search.toString();
}
