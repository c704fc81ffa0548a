import type { RouteAccess } from "../../access/access";
import type { InProcessRequest, InProcessResponse } from "../../http/in-process";
import type { Route } from "../../http/route";

/** A JSON Schema without the forms that only HTML forms need: models read it, and pay for each token of it. */
export type JsonSchema = Readonly<Record<string, unknown>>;

export type Arguments = Record<string, unknown>;

/** What a tool needs to know of a route. */
export type ToolRoute = RouteAccess & Pick<Route, "params" | "query" | "body"> & { method: string; path: string };

/** The HTTP request that a tool call stands for. */
export type ToolRequest = Pick<InProcessRequest, "method" | "path" | "body" | "headers" | "limits">;

/** The parts of a request that a tool makes by itself. */
export type RequestParts = Omit<ToolRequest, "method" | "path"> & {
  query: Arguments;
  method?: string;
  /** the path, if it is not the route's with the arguments in it */
  target?: string;
};

/** One tool: what a model reads of it, and the routes that it calls. */
export interface ToolDeclaration {
  name: string;
  description: string;
  /** `METHOD /path` of each route that it may call; with several, the keys are the values of `choice`, the first being the default */
  routes: Record<string, string>;
  /** the argument that chooses among the routes */
  choice?: string;
  arguments: Record<string, JsonSchema>;
  required?: readonly string[];
  /** Fields of its answer; an error has other ones beside `status`. */
  answer: Record<string, JsonSchema>;
  effect: "reads" | "adds" | "changes" | "removes";
  /** Names of arguments that the route knows by another name, by the route's key. */
  renamed?: Record<string, Record<string, string>>;
  /** Arguments that it passes on if the client gives none. */
  defaults?: Record<string, Arguments>;
  /** Makes the request, if it is more than the arguments as the route's parameters, query and body. */
  toRequest?: (args: Arguments) => RequestParts | Promise<RequestParts>;
  /** Makes the structured answer, if it is not the route's JSON; undefined for an error of the route. */
  toAnswer?: (response: InProcessResponse, args: Arguments) => object | undefined;
}

export const TEXT = { type: "string" } as const;
export const NUMBER = { type: "number" } as const;
export const INTEGER = { type: "integer" } as const;
export const FLAG = { type: "boolean" } as const;
export const OBJECT = { type: "object" } as const;
export const OBJECTS = { type: "array", items: OBJECT } as const;
export const TEXTS = { type: "array", items: TEXT } as const;
/** Of an error the HTTP status, else a word. */
export const STATUS = { type: ["string", "integer"] } as const;

export const described = (schema: JsonSchema, description: string): JsonSchema => ({ ...schema, description });
/** A map from names to texts. */
export const MAP = { type: "object", additionalProperties: TEXT } as const;
export const oneOf = (...values: string[]): JsonSchema => ({ type: "string", enum: values });

export const COMMAND = described(TEXTS, 'No shell: use ["sh","-c","…"]');
/** Who holds a container. */
export const REFERENCE = { id: TEXT, name: TEXT, host: TEXT };
export const OUTPUT = { stdout: TEXT, stderr: { type: ["string", "null"] }, exit_code: { type: ["integer", "null"] } };
