import { z } from "zod";
import { KINDS } from "../errors";
import type { AnswerDoc, Method, Route } from "./route";

/** What the document says of a route; OPTIONS are only passed on. */
export type Described = Omit<Route, "handler" | "method"> & { method: Method | "options" };

const errorSchema = z.object({
  error: z.enum(Object.keys(KINDS) as [string, ...string[]]),
  code: z.string(),
  message: z.string(),
  status: z.number(),
  request_id: z.string(),
  timestamp: z.iso.datetime(),
  details: z.record(z.string(), z.unknown()),
  detail: z.string().describe("the message again"),
  stacktrace: z.string().optional().describe("in development only"),
});

/**
 * Derives the OpenAPI 3.1 document from the routes.
 * @param routes all of them
 * @param info title and version
 */
export function openApiDocument(routes: Described[], info: { title: string; version: string }): object {
  const paths: Record<string, Record<string, object>> = {};
  const templates = pathTemplates(routes);
  for (const route of routes) {
    const path = templates.get(shapeOf(route)) as string;
    paths[path] = { ...paths[path], [route.method]: operation(route, path) };
  }
  return {
    openapi: "3.1.0",
    info: { ...info, license: { name: "Apache-2.0", identifier: "Apache-2.0" } },
    servers: [{ url: "/" }],
    paths,
    components: {
      schemas: { Error: jsonSchema(errorSchema, "output") },
      securitySchemes: {
        basic: { type: "http", scheme: "basic" },
        bearer: { type: "http", scheme: "bearer" },
        token: { type: "apiKey", in: "header", name: "X-Access-Token" },
      },
    },
    security: [{ basic: [] }, { bearer: [] }, { token: [] }],
  };
}

const shapeOf = (route: Described) => route.path.replace(/[:*]\w+/g, "{}");

/** Paths that differ only in the names of their parameters are one path to OpenAPI: it gets the names that single segments have. */
function pathTemplates(routes: Described[]): Map<string, string> {
  const ordered = [...routes].sort((a, b) => Number(b.path.includes("*")) - Number(a.path.includes("*")));
  return new Map(ordered.map((route) => [shapeOf(route), route.path.replace(/[:*](\w+)/g, "{$1}")]));
}

function operation(route: Described, path: string): object {
  const names = namesOf(path, /\{(\w+)\}/g);
  const renamed = Object.fromEntries(namesOf(route.path, /[:*](\w+)/g).map((name, place) => [name, names[place] ?? name]));
  const pin = { name: "node", in: "query", required: false, description: "The node to run on", schema: { type: "string" } };
  return {
    operationId: `${route.method}${route.path.replace(/\W+(\w)?/g, (_all, letter: string | undefined) => letter?.toUpperCase() ?? "")}`,
    summary: route.summary,
    ...(route.public ? { security: [] } : {}),
    parameters: [...parameters(route.params, "path", renamed), ...parameters(route.query, "query"), pin],
    ...(route.body ? { requestBody: requestBody(route.body, route.example) } : {}),
    ...(route.streams ? { requestBody: streamedBody(route.streams) } : {}),
    responses: {
      ...Object.fromEntries(Object.entries(route.answers).map(([status, answer]) => [status, response(answer)])),
      default: { description: "An error", content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } } },
    },
  };
}

function namesOf(path: string, parameter: RegExp): string[] {
  return [...path.matchAll(parameter)].map(([, name = ""]) => name);
}

function parameters(schema: z.ZodObject | undefined, place: "path" | "query", renamed: Record<string, string> = {}): object[] {
  if (!schema) return [];
  return Object.entries(schema.shape).map(([name, field]) => {
    const { description, ...rest } = jsonSchema(field as z.ZodType, "input");
    const required = place === "path" || !(field as z.ZodType).safeParse(undefined).success;
    return { name: renamed[name] ?? name, in: place, required, ...(description ? { description } : {}), schema: rest };
  });
}

function requestBody(schema: z.ZodObject, example?: object): object {
  const content = { schema: jsonSchema(schema.strict(), "input"), ...(example ? { example } : {}) };
  // As in `ports[1234]=6379`.
  const properties = Object.entries(content.schema.properties as Record<string, { type?: string }>);
  const maps = properties.filter(([, { type }]) => type === "object").map(([name]) => name);
  const encoding = Object.fromEntries(maps.map((name) => [name, { style: "deepObject", explode: true }]));
  return {
    required: true,
    content: { "application/json": content, "application/x-www-form-urlencoded": { ...content, ...(maps.length > 0 ? { encoding } : {}) } },
  };
}

function streamedBody(types: string[]): object {
  const file = { type: "string", contentMediaType: "application/octet-stream" };
  const form = { type: "object", properties: { file }, required: ["file"] };
  const schemaOf = (type: string) => (type === "multipart/form-data" ? form : file);
  return { required: true, content: Object.fromEntries(types.map((type) => [type, { schema: schemaOf(type) }])) };
}

function response({ description, schema, contentType, headers }: AnswerDoc): object {
  const content = {
    ...(schema ? { "application/json": { schema: jsonSchema(schema, "output") } } : {}),
    ...(contentType ? { [contentType]: { schema: { type: "string" } } } : {}),
  };
  return {
    description,
    ...(Object.keys(content).length > 0 ? { content } : {}),
    ...(headers
      ? {
          headers: Object.fromEntries(
            Object.entries(headers).map(([name, text]) => [name, { description: text, schema: { type: "string" } }]),
          ),
        }
      : {}),
  };
}

/** A schema as JSON Schema, of what it takes in or gives out. */
export function jsonSchema(schema: z.ZodType, io: "input" | "output"): Record<string, unknown> {
  const {
    $schema: _,
    "~standard": __,
    ...rest
  } = z.toJSONSchema(schema, { io, target: "draft-2020-12", unrepresentable: "any" }) as Record<string, unknown>;
  return rest;
}
