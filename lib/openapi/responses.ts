import type { Where } from "../cluster/routing/where";
import type { AnswerDoc } from "../http/route";
import { jsonSchema } from "./json-schema";

type Json = Record<string, unknown>;

const ERROR = { "application/json": { schema: { $ref: "#/components/schemas/Error" } } };
const REQUEST_ID = { "X-Request-Id": "Id of the request, which may give one itself" };
const OF_ERRORS = {
  "X-Error-Code": "Its code",
  "X-Error-Message": "Its message, in ASCII",
  "Retry-After": "Seconds; with 429 and 503",
};
const OF_NODES = { "X-Cluster-Nodes": "In a cluster: who has answered", "X-Cluster-Missing": "In a cluster: who has not, if anyone" };
const OUTCOMES = { "X-Cluster-Outcomes": "In a cluster: what each node came to, such as n1=200, n2=202" };

const PLACEMENT = { type: "object", description: "With explain, in a cluster: who was chosen and who bid what" };

/**
 * What a route answers, as OpenAPI has it: also what the cluster makes of it.
 * @param route.where where it runs
 */
export function answersOf({ where, answers }: { where: Where; answers: Record<number, AnswerDoc> }): object {
  const documented = Object.entries(answers).map(([status, answer]) => {
    return [status, Number(status) < 400 ? success(answer, where) : refusal(answer, where)];
  });
  return { ...Object.fromEntries(documented), default: refusal({ description: "An error" }, where) };
}

function success({ description, schema, contentType = [], headers }: AnswerDoc, where: Where): object {
  const others = [contentType].flat().map((type) => [type, { schema: { type: "string" } }]);
  const content = {
    ...(schema ? { "application/json": { schema: asAnswered(jsonSchema(schema, "output"), where) } } : {}),
    ...Object.fromEntries(others),
  };
  return { description, ...(Object.keys(content).length > 0 ? { content } : {}), headers: described({ ...ofNodes(where), ...headers }) };
}

function refusal({ description, headers }: AnswerDoc, where: Where): object {
  return { description, content: ERROR, headers: described({ ...OF_ERRORS, ...ofNodes(where), ...headers }) };
}

/** In a cluster an answer about every owner is a list, and a placement can be explained. */
function asAnswered(schema: Json, where: Where): Json {
  if (where.at === "owners")
    return { anyOf: [schema, { type: "array", items: schema, description: "In a cluster: of each node that has it" }] };
  return where.at === "bestNode" ? explained(schema) : schema;
}

function explained(schema: Json): Json {
  if (Array.isArray(schema.anyOf)) return { ...schema, anyOf: schema.anyOf.map(explained) };
  return schema.properties ? { ...schema, properties: { ...schema.properties, placement: PLACEMENT } } : schema;
}

function ofNodes({ at, ...rest }: Where): Record<string, string> {
  if (at !== "owners" && at !== "everyNode" && at !== "eachNode") return {};
  return "merge" in rest && rest.merge === "outcomes" ? { ...OUTCOMES, ...OF_NODES } : OF_NODES;
}

function described(headers: Record<string, string>): object {
  const all = Object.entries({ ...headers, ...REQUEST_ID });
  return Object.fromEntries(all.map(([name, description]) => [name, { description, schema: { type: "string" } }]));
}
