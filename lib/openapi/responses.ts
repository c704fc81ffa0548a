import type { Where } from "../cluster/routing/where";
import type { ResponseDoc } from "../http/route";
import { jsonSchema } from "./json-schema";

type Json = Record<string, unknown>;

/** Gives the schema of an answer a name and returns a reference. */
type NameSchema = (status: number, schema: Json) => Json;

const ERROR_CONTENT = { "application/json": { schema: { $ref: "#/components/schemas/Error" } } };
const REQUEST_ID_HEADER = { "X-Request-Id": "Id of the request, which may give one itself" };
const ERROR_HEADERS = {
  "X-Error-Code": "Its code",
  "X-Error-Message": "Its message, in ASCII",
  "Retry-After": "Seconds; with 429 and 503",
};
const NODES_HEADERS = { "X-Cluster-Nodes": "In a cluster: who has answered", "X-Cluster-Missing": "In a cluster: who has not, if anyone" };
const OUTCOMES_HEADER = { "X-Cluster-Outcomes": "In a cluster: what each node came to, such as n1=200, n2=202" };

const PLACEMENT_SCHEMA = { type: "object", description: "With explain, in a cluster: who was chosen and who bid what" };

/**
 * The OpenAPI responses of a route, including what the cluster adds to them.
 * @param route.where where the route runs
 * @param name names the schemas
 */
export function responsesOf({ where, responses }: { where: Where; responses: Record<number, ResponseDoc> }, name: NameSchema): object {
  const documented = Object.entries(responses).map(([status, response]) => {
    return [
      status,
      Number(status) < 400 ? successResponse(response, where, (schema) => name(Number(status), schema)) : errorResponse(response, where),
    ];
  });
  return { ...Object.fromEntries(documented), default: errorResponse({ description: "An error" }, where) };
}

function successResponse(
  { description, schema, contentType = [], headers }: ResponseDoc,
  where: Where,
  name: (schema: Json) => Json,
): object {
  const others = [contentType].flat().map((type) => [type, { schema: { type: "string" } }]);
  const content = {
    ...(schema ? { "application/json": { schema: clusterSchema(jsonSchema(schema, "output"), where, name) } } : {}),
    ...Object.fromEntries(others),
  };
  return {
    description,
    ...(Object.keys(content).length > 0 ? { content } : {}),
    headers: headerObjects({ ...clusterHeaders(where), ...headers }),
  };
}

function errorResponse({ description, headers }: ResponseDoc, where: Where): object {
  return { description, content: ERROR_CONTENT, headers: headerObjects({ ...ERROR_HEADERS, ...clusterHeaders(where), ...headers }) };
}

/** Adapts a schema to a cluster: answers of all owners are a list, answers of placed runs can have `placement`. */
function clusterSchema(schema: Json, where: Where, name: (schema: Json) => Json): Json {
  if (where.at === "bestNode") return name(withPlacement(schema));
  const named = name(schema);
  if (where.at !== "owners") return named;
  return { anyOf: [named, { type: "array", items: named, description: "In a cluster: of each node that has it" }] };
}

function withPlacement(schema: Json): Json {
  if (Array.isArray(schema.anyOf)) return { ...schema, anyOf: schema.anyOf.map(withPlacement) };
  // With a field more it is another schema than the one that has the title.
  const { title: _, ...untitled } = schema;
  return schema.properties ? { ...untitled, properties: { ...schema.properties, placement: PLACEMENT_SCHEMA } } : schema;
}

function clusterHeaders({ at, ...rest }: Where): Record<string, string> {
  if (at !== "owners" && at !== "everyNode" && at !== "everyOutcome") return {};
  return "merge" in rest && rest.merge === "outcomes" ? { ...OUTCOMES_HEADER, ...NODES_HEADERS } : NODES_HEADERS;
}

function headerObjects(headers: Record<string, string>): object {
  const all = Object.entries({ ...headers, ...REQUEST_ID_HEADER });
  return Object.fromEntries(all.map(([name, description]) => [name, { description, schema: { type: "string" } }]));
}
