import { z } from "zod";
import { ERROR_CODES, KINDS } from "../errors";
import { aliasesOf } from "../http/input";
import type { Method, Route } from "../http/route";
import { jsonSchema } from "./json-schema";
import { NamedSchemas } from "./named-schemas";
import { operationOf, TAGS } from "./operations";
import { responsesOf } from "./responses";

const CREDENTIALS = [{ basic: [] }, { bearer: [] }, { token: [] }, { key: [] }];

const INTRODUCTION = `Runs containers on one machine or a few, over one API. Any node takes any request.

- **Credentials**: \`Authorization: Bearer TOKEN\`, \`Authorization: Basic\`, \`X-Access-Token\` or \`X-API-Key\`.
- **Bodies** are JSON or forms. \`env\`, \`ports\` and \`volumes\` also take Docker's short forms, such as \`["8080:80/udp"]\`; the schemas here have the long forms.
- **Errors** have one body. \`code\` is the exact cause, \`details.field\` the field at fault.
- **202** means that the work goes on: the same request again joins a pull.
- **Placement**: \`?node=NAME\` pins any request to a node.
- **Docker's own API** is at \`/v1.NN/…\` and \`/_ping\`, for \`docker -H\` and its client libraries. Docker documents it; docs/docker-api.md
  says where each request runs, which permission it needs and what differs.`;

/** The part of a route that the document describes. Only the proxy's operations use `options`. */
export type DocumentedRoute = Omit<Route, "handler" | "method"> & { method: Method | "options" };

const errorCode = z.enum(ERROR_CODES as [string, ...string[]]).meta({ title: "ErrorCode" });

const errorSchema = z.object({
  error: z.enum(Object.keys(KINDS) as [string, ...string[]]),
  code: z.union([errorCode, z.string().regex(/^(?:INVALID|MISSING)_/)]).describe("Of the list, or INVALID_ or MISSING_ and a field"),
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
  const schemas = new NamedSchemas();
  schemas.add("Error", jsonSchema(errorSchema, "output"));
  for (const route of routes) {
    const path = templates.get(pathShape(route)) as string;
    paths[path] = { ...paths[path], [route.method]: operation(route, path, schemas) };
  }
  return {
    openapi: "3.1.0",
    info: { ...info, description: INTRODUCTION, license: { name: "Apache-2.0", identifier: "Apache-2.0" } },
    servers: [{ url: "/" }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      schemas: schemas.all,
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

function operation(route: DocumentedRoute, path: string, schemas: NamedSchemas): object {
  const { operationId, tag } = operationOf(route);
  const typeName = `${operationId[0]?.toUpperCase()}${operationId.slice(1)}`;
  const names = parameterNames(path, /\{(\w+)\}/g);
  const renamed = Object.fromEntries(parameterNames(route.path, /[:*](\w+)/g).map((name, index) => [name, names[index] ?? name]));
  return {
    operationId,
    tags: [tag],
    summary: route.summary,
    ...(route.permission === null ? {} : { "x-permission": route.permission }),
    ...(route.public ? { security: [] } : route.anonymousBody ? { security: [{}, ...CREDENTIALS] } : {}),
    parameters: [...parameters(route.params, "path", renamed), ...parameters(route.query, "query"), ...commonParameters(route)],
    ...(route.body ? { requestBody: requestBody(route.body, route.example, (schema) => schemas.add(`${typeName}Request`, schema)) } : {}),
    ...(route.streamedBodyTypes ? { requestBody: streamedBody(route.streamedBodyTypes) } : {}),
    responses: responsesOf(route, (status, schema) => schemas.add(`${typeName}Response${status === 200 ? "" : status}`, schema)),
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

/** @param name gives the schema a name and returns a reference */
function requestBody(schema: z.ZodObject, example: object | undefined, name: (schema: Record<string, unknown>) => object): object {
  const body = withAliases(schema);
  const content = { schema: name(body), ...(example ? { example } : {}) };
  // Forms write maps as `ports[1234]=6379`.
  const properties = Object.entries(body.properties);
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
