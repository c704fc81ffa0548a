import { z } from "zod";
import { KINDS } from "../errors";
import { aliasesOf } from "../http/input";
import type { Method, Route } from "../http/route";
import { jsonSchema } from "./json-schema";
import { responsesOf } from "./responses";

const CREDENTIALS = [{ basic: [] }, { bearer: [] }, { token: [] }, { key: [] }];

/** The part of a route that the document describes. Only the proxy's operations use `options`. */
export type DocumentedRoute = Omit<Route, "handler" | "method"> & { method: Method | "options" };

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
 * @param routes all routes
 * @param info title and version
 */
export function openApiDocument(routes: DocumentedRoute[], info: { title: string; version: string }): object {
  const paths: Record<string, Record<string, object>> = {};
  const templates = pathTemplates(routes);
  for (const route of routes) {
    const path = templates.get(pathShape(route)) as string;
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
        key: { type: "apiKey", in: "header", name: "X-API-Key" },
      },
    },
    security: CREDENTIALS,
  };
}

const pathShape = (route: DocumentedRoute) => route.path.replace(/[:*]\w+/g, "{}");

/** OpenAPI treats paths that differ only in parameter names as one: maps each shape to one template, named after single-segment parameters. */
function pathTemplates(routes: DocumentedRoute[]): Map<string, string> {
  const ordered = [...routes].sort((a, b) => Number(b.path.includes("*")) - Number(a.path.includes("*")));
  return new Map(ordered.map((route) => [pathShape(route), route.path.replace(/[:*](\w+)/g, "{$1}")]));
}

function operation(route: DocumentedRoute, path: string): object {
  const names = parameterNames(path, /\{(\w+)\}/g);
  const renamed = Object.fromEntries(parameterNames(route.path, /[:*](\w+)/g).map((name, index) => [name, names[index] ?? name]));
  return {
    operationId: `${route.method}${route.path.replace(/\W+(\w)?/g, (_all, letter: string | undefined) => letter?.toUpperCase() ?? "")}`,
    summary: route.summary,
    ...(route.permission === null ? {} : { "x-permission": route.permission }),
    ...(route.public ? { security: [] } : route.anonymousBody ? { security: [{}, ...CREDENTIALS] } : {}),
    parameters: [...parameters(route.params, "path", renamed), ...parameters(route.query, "query"), ...commonParameters(route)],
    ...(route.body ? { requestBody: requestBody(route.body, route.example) } : {}),
    ...(route.streamedBodyTypes ? { requestBody: streamedBody(route.streamedBodyTypes) } : {}),
    responses: responsesOf(route),
  };
}

/** Parameters that many routes accept without declaring them. */
function commonParameters({ where, idempotent }: DocumentedRoute): object[] {
  const optional = (name: string, location: "query" | "header", description: string, type = "string") => {
    return { name, in: location, required: false, description, schema: { type } };
  };
  return [
    optional("node", "query", "The node to run on"),
    ...(where.at === "bestNode" ? [optional("explain", "query", "In a cluster: tell in `placement` who bid what", "boolean")] : []),
    ...(idempotent ? [optional("Idempotency-Key", "header", "The same key again answers what the first has made")] : []),
  ];
}

function parameterNames(path: string, parameter: RegExp): string[] {
  return [...path.matchAll(parameter)].map(([, name = ""]) => name);
}

function parameters(schema: z.ZodObject | undefined, location: "path" | "query", renamed: Record<string, string> = {}): object[] {
  if (!schema) return [];
  return Object.entries(schema.shape).map(([name, field]) => {
    const { description, ...rest } = jsonSchema(field as z.ZodType, "input");
    const required = location === "path" || !(field as z.ZodType).safeParse(undefined).success;
    return { name: renamed[name] ?? name, in: location, required, ...(description ? { description } : {}), schema: rest };
  });
}

function requestBody(schema: z.ZodObject, example?: object): object {
  const content = { schema: withAliases(schema), ...(example ? { example } : {}) };
  // Forms write maps as `ports[1234]=6379`.
  const properties = Object.entries(content.schema.properties);
  const maps = properties.filter(([, { type }]) => type === "object").map(([name]) => name);
  const encoding = Object.fromEntries(maps.map((name) => [name, { style: "deepObject", explode: true }]));
  return {
    required: !schema.safeParse({}).success,
    content: { "application/json": content, "application/x-www-form-urlencoded": { ...content, ...(maps.length > 0 ? { encoding } : {}) } },
  };
}

/** The JSON schema of a body, with the other names that its fields may have. */
function withAliases(schema: z.ZodObject) {
  const { properties = {}, required = [], ...rest } = jsonSchema(schema.strict(), "input") as BodySchema;
  const aliases = aliasesOf(schema);
  const alternatives = aliases.filter(([, canonical]) => required.includes(canonical));
  return {
    ...rest,
    properties: {
      ...properties,
      ...Object.fromEntries(
        aliases.map(([alias, canonical]) => [
          alias,
          { ...properties[canonical], deprecated: true, description: `Another name of ${canonical}` },
        ]),
      ),
    },
    required: required.filter((name) => !alternatives.some(([, canonical]) => canonical === name)),
    ...(alternatives.length > 0 ? { anyOf: alternatives.flat().map((name) => ({ required: [name] })) } : {}),
  };
}

interface BodySchema {
  properties?: Record<string, { type?: string }>;
  required?: string[];
}

function streamedBody(types: string[]): object {
  const file = { type: "string", contentMediaType: "application/octet-stream" };
  const form = { type: "object", properties: { file }, required: ["file"] };
  const schemaOf = (type: string) => (type === "multipart/form-data" ? form : file);
  return { required: true, content: Object.fromEntries(types.map((type) => [type, { schema: schemaOf(type) }])) };
}
