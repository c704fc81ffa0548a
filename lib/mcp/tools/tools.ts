import type { Access } from "../../access/access";
import { AppError, invalidField } from "../../errors";
import type { InProcessResponse } from "../../http/in-process";
import { readInput } from "../../http/input";
import { isReserved } from "../../http/route";
import { CONTAINER_TOOLS } from "./container-tools";
import { type Arguments, type JsonSchema, oneOf, TEXT, type ToolDeclaration, type ToolRequest, type ToolRoute } from "./declaration";
import { FILE_TOOLS } from "./file-tools";
import { RUN_TOOLS } from "./run-tools";

/** All tools, in the order in which a client sees them. */
export const TOOLS: readonly ToolDeclaration[] = [...RUN_TOOLS, ...CONTAINER_TOOLS, ...FILE_TOOLS];

const HINTS = {
  reads: { readOnlyHint: true },
  adds: { readOnlyHint: false, destructiveHint: false },
  changes: { readOnlyHint: false, destructiveHint: true },
  removes: { readOnlyHint: false, destructiveHint: true, idempotentHint: true },
} as const;

/** A tool as `tools/list` shows it. */
export interface ToolDoc {
  name: string;
  description: string;
  inputSchema: { type: "object"; [key: string]: unknown };
  outputSchema: { type: "object"; [key: string]: unknown };
  annotations: { readOnlyHint: boolean; destructiveHint?: boolean; idempotentHint?: boolean };
}

/** A tool with the routes of this server that it can call, by the keys of its declaration. */
interface Tool {
  declaration: ToolDeclaration;
  routes: Map<string, ToolRoute>;
}

/** The tools, and the translation of their calls into requests to routes. */
export class Tools {
  private readonly byName: Map<string, Tool>;

  /** @param routes all routes of this server; a tool without any of its routes is left out, as `nodes` of a single node */
  constructor(routes: readonly ToolRoute[]) {
    const byPlace = new Map(routes.map((route) => [`${route.method.toUpperCase()} ${route.path}`, route]));
    const tools = TOOLS.map((declaration) => {
      const found = Object.entries(declaration.routes).map(([key, place]) => [key, byPlace.get(place)] as const);
      return { declaration, routes: new Map(found.filter((each): each is [string, ToolRoute] => each[1] !== undefined)) };
    });
    this.byName = new Map(tools.filter((tool) => tool.routes.size > 0).map((tool) => [tool.declaration.name, tool]));
  }

  /** @returns the names of the tools that the client may call */
  names(access: Access): string[] {
    return this.list(access).map(({ name }) => name);
  }

  /** @returns the tools that the client may call, each with the choices that it may make */
  list(access: Access): ToolDoc[] {
    return [...this.byName.values()].flatMap(({ declaration, routes }) => {
      const permitted = [...routes].filter(([, route]) => access.mayCall(route)).map(([key]) => key);
      return permitted.length === 0 ? [] : [toDoc(declaration, permitted)];
    });
  }

  /**
   * Translates a call into a request. Only what could address another route is validated here; the route validates the rest.
   * @returns undefined if there is no such tool
   * @throws AppError naming the argument at fault
   */
  async toRequest(name: string, given: Arguments): Promise<ToolRequest | undefined> {
    const tool = this.byName.get(name);
    if (!tool) return undefined;
    const { declaration } = tool;
    const args = readArguments(declaration, given);
    const { key, rest } = chooseRoute(tool, args);
    const route = tool.routes.get(key) as ToolRoute;
    const made = await declaration.toRequest?.(rest);
    const parts = splitArguments(route, rename({ ...declaration.defaults?.[key], ...rest }, declaration.renamed?.[key]));
    const path = made?.target ?? pathOf(route, parts.params);
    const search = toQueryString(made?.query ?? parts.query);
    const body = made ? made.body : route.body && parts.body;
    return {
      method: made?.method ?? route.method.toUpperCase(),
      path: search === "" ? path : `${path}${path.includes("?") ? "&" : "?"}${search}`,
      body,
      ...(made?.headers ? { headers: made.headers } : {}),
      ...(made?.limits ? { limits: made.limits } : {}),
    };
  }

  /**
   * @param args of the call
   * @returns what the tool answers; undefined if that is the route's JSON
   */
  toAnswer(name: string, response: InProcessResponse, args: Arguments): object | undefined {
    return this.byName.get(name)?.declaration.toAnswer?.(response, args);
  }
}

function toDoc({ name, description, choice, required = [], answer, effect, ...declared }: ToolDeclaration, permitted: string[]): ToolDoc {
  const choices: Record<string, JsonSchema> = choice === undefined ? {} : { [choice]: oneOf(...permitted) };
  return {
    name,
    description,
    inputSchema: {
      type: "object",
      properties: { ...declared.arguments, ...choices, node: TEXT },
      ...(required.length > 0 ? { required: [...required] } : {}),
      additionalProperties: false,
    },
    outputSchema: { type: "object", properties: answer },
    annotations: HINTS[effect],
  };
}

/** Checks the names of a call's arguments, and reads those that came as JSON text instead of a list or a map. */
function readArguments({ arguments: known, required = [] }: ToolDeclaration, given: Arguments): Arguments {
  const names = Object.keys(known);
  const unknown = Object.keys(given).find((name) => name !== "node" && !Object.hasOwn(known, name));
  if (unknown !== undefined) throw invalidField(unknown, `is not known here; known are ${[...names, "node"].join(", ")}`);
  const missing = required.find((name) => given[name] === undefined || given[name] === null);
  if (missing !== undefined) throw invalidField(missing, "is required");
  return Object.fromEntries(Object.entries(given).map(([name, value]) => [name, readJsonText(known[name], value)]));
}

function readJsonText(schema: JsonSchema | undefined, value: unknown): unknown {
  if (typeof value !== "string" || !/^\s*[[{]/.test(value)) return value;
  const wanted = schema?.type;
  if (wanted !== "array" && wanted !== "object") return value;
  try {
    const parsed: unknown = JSON.parse(value);
    return Array.isArray(parsed) === (wanted === "array") ? parsed : value;
  } catch {
    return value;
  }
}

function chooseRoute({ declaration, routes }: Tool, args: Arguments): { key: string; rest: Arguments } {
  const { choice, name } = declaration;
  const [first = ""] = routes.keys();
  if (choice === undefined) return { key: first, rest: args };
  const { [choice]: key = first, ...rest } = args;
  if (typeof key === "string" && routes.has(key)) return { key, rest };
  throw invalidField(choice, `of ${name} must be one of ${[...routes.keys()].join(", ")}`);
}

function rename(args: Arguments, names: Record<string, string> = {}): Arguments {
  return Object.fromEntries(Object.entries(args).map(([name, value]) => [names[name] ?? name, value]));
}

/** @throws AppError if the path would be that of another route */
function pathOf(route: ToolRoute, params: Arguments): string {
  if (route.params) readInput(route.params, params);
  const path = route.path.replace(/[:*](\w+)/g, (_all, field: string) =>
    String(params[field]).split("/").map(encodeURIComponent).join("/"),
  );
  const [, first = ""] = path.split("/");
  if (!/^\/[:*]/.test(route.path) || !isReserved(first)) return path;
  throw new AppError("CONTAINER_NOT_FOUND", { message: `${first} is a word of this API, and no container's name`, details: { id: first } });
}

function splitArguments(route: ToolRoute, given: Arguments): { params: Arguments; query: Arguments; body: Arguments } {
  const parts = { params: {}, query: {}, body: {} } as Record<"params" | "query" | "body", Arguments>;
  for (const [name, value] of Object.entries(given)) {
    const isParam = Object.hasOwn(route.params?.shape ?? {}, name);
    const isQuery = name === "node" || !route.body || Object.hasOwn(route.query?.shape ?? {}, name);
    parts[isParam ? "params" : isQuery ? "query" : "body"][name] = value;
  }
  return parts;
}

function toQueryString(query: Arguments): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item === undefined) continue;
      if (item === null || typeof item === "object") throw invalidField(name, "must be text, a number, true or false");
      search.append(name, String(item));
    }
  }
  return search.toString();
}
