import { z } from "zod";
import { invalidField } from "../errors";
import { nearestName } from "../support/nearest";

/** Other names of fields, which the documents of some routes use, each with the name that all routes know. */
const CANONICAL_NAMES: Record<string, string> = {
  data: "command",
  env_vars: "env",
  pull: "pull_policy",
  restart: "restart_policy",
  remove: "auto_remove",
};

/** Names that other programs have for fields, each with those of this API. */
const FOREIGN_NAMES = new Map(
  Object.entries<string[]>({
    cmd: ["command"],
    args: ["command"],
    rm: ["auto_remove", "remove"],
    daemon: ["detach"],
    background: ["detach"],
    cwd: ["workdir"],
    working_dir: ["workdir"],
    directory: ["workdir"],
    volume: ["volumes"],
    mounts: ["volumes"],
    test: ["cmd"],
    imagepullpolicy: ["pull_policy"],
    image_pull_policy: ["pull_policy"],
    gpus: ["devices"],
    page: ["cursor"],
    timeout: ["wait_timeout"],
  }),
);

/** Other programs' names for what is no field here, each with where it is said instead. */
const ELSEWHERE: { names: Set<string>; only?: (known: readonly string[]) => boolean; where: string }[] = [
  {
    names: new Set(["node", "node_name", "nodename", "nodeselector", "constraint", "constraints", "placement"]),
    where: "a node is named in the address, as ?node=NAME",
  },
  {
    names: new Set(["command", "data", "entrypoint"]),
    only: (known) => known.includes("tags") && !known.includes("command"),
    where: "a managed container keeps the command that it was created with",
  },
  {
    names: new Set(["timeout"]),
    only: (known) => known.includes("payload"),
    where: "the server's option --run_max_time limits all runs",
  },
  {
    names: new Set(["timeout", "wait"]),
    only: (known) => known.includes("detach") && !known.includes("wait_ready"),
    where: "the answer comes after the server's --run_wait at the latest, or at once with detach",
  },
];

/** The other names of the fields that a schema has, each with the canonical one. */
export function aliasesOf({ shape }: z.ZodObject): [alias: string, canonical: string][] {
  return Object.entries(CANONICAL_NAMES).filter(([alias, canonical]) => Object.hasOwn(shape, canonical) && !Object.hasOwn(shape, alias));
}

/**
 * Validates one part of a request. A field may have its canonical name or another one that `CANONICAL_NAMES` lists.
 * @param value the params, query or body as received
 * @returns the output of the schema
 * @throws AppError INVALID_INPUT that names the first invalid field as the client did
 */
export function readInput<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const { fields, givenNames } = toCanonicalNames(schema, value);
  const result = schema.safeParse(fields, { error: fieldsMessage, reportInput: true });
  if (result.success) return result.data;
  const { issues } = result.error;
  const issue = (misspelt(issues) ?? issues[0]) as z.core.$ZodIssue;
  const path = [...issue.path];
  // The issue of a union has the object that lacks the field that decides.
  const isMissing = valueAt(fields, path) === undefined && (issue.input === undefined || issue.code === "invalid_union");
  const given = givenNames.get(String(path[0]));
  if (given !== undefined) path[0] = given;
  if (issue.code === "unrecognized_keys") throw invalidField([...path, issue.keys[0]].join("."), issue.message);
  const field = path.join(".") || "body";
  if (isMissing) throw invalidField(field, "is required");
  if (issue.code === "invalid_key") throw invalidField(field, issue.issues[0]?.message ?? "is not a valid name");
  throw invalidField(field, issue.message);
}

/** The issue of an unknown field that differs from a missing one only in capitals, such as `Image`. */
function misspelt(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue | undefined {
  const missing = new Set(issues.map(({ path }) => path.join(".")));
  return issues.find((each) => each.code === "unrecognized_keys" && missing.has([...each.path, each.keys[0]?.toLowerCase()].join(".")));
}

/**
 * The value with the names that the schema knows.
 * @returns givenNames: by canonical name, the names that the client used instead
 * @throws AppError INVALID_INPUT if a field is there under both of its names
 */
function toCanonicalNames(schema: z.ZodType, value: unknown): { fields: unknown; givenNames: Map<string, string> } {
  const givenNames = new Map<string, string>();
  if (!(schema instanceof z.ZodObject) || typeof value !== "object" || value === null) return { fields: value, givenNames };
  const given = Object.entries(value);
  if (given.length === 0) return { fields: value, givenNames };
  const canonicalNames = new Map(aliasesOf(schema));
  const fields = given.map(([name, field]) => {
    const canonical = canonicalNames.get(name);
    if (canonical === undefined) return [name, field] as const;
    if (Object.hasOwn(value, canonical)) throw invalidField(name, `is the same as ${canonical}: give one of the two`);
    givenNames.set(canonical, name);
    return [canonical, field] as const;
  });
  return { fields: givenNames.size === 0 ? value : Object.fromEntries(fields), givenNames };
}

/** What is wrong with a value that should hold fields, or with an unknown field: names the similar one and all that are known. */
function fieldsMessage({ code, inst, keys }: z.core.$ZodRawIssue): string | undefined {
  if (!(inst instanceof z.ZodObject)) return undefined;
  const known = Object.keys(inst.shape);
  if (code === "invalid_type") return `must hold fields: known are ${known.join(", ")}`;
  if (code !== "unrecognized_keys") return undefined;
  if (known.length === 0) return "is not known here: no fields are";
  const given = String((keys as string[])[0]);
  const elsewhere = ELSEWHERE.find(({ names, only }) => names.has(given.toLowerCase()) && (only?.(known) ?? true));
  if (elsewhere) return `is not known here: ${elsewhere.where}; known are ${known.join(", ")}`;
  const aliases = new Map(aliasesOf(inst));
  const foreign = FOREIGN_NAMES.get(given.toLowerCase())?.find((name) => known.includes(name));
  const group = known.find((name) => Object.hasOwn(objectIn(inst.shape[name])?.shape ?? {}, given));
  const nearest = foreign ?? (group === undefined ? nearestName(given, [...known, ...aliases.keys()]) : `${group}.${given}`);
  const hint = nearest === undefined ? "" : ` (did you mean ${aliases.get(nearest) ?? nearest}?)`;
  return `is not known here${hint}: known are ${known.join(", ")}`;
}

/** The object that a field holds, which may be absent. */
function objectIn(field: unknown): z.ZodObject | undefined {
  if (field instanceof z.ZodObject) return field;
  if (field instanceof z.ZodOptional || field instanceof z.ZodNullable || field instanceof z.ZodDefault) return objectIn(field.unwrap());
  return field instanceof z.ZodPipe ? (objectIn(field.in) ?? objectIn(field.out)) : undefined;
}

function valueAt(value: unknown, path: PropertyKey[]): unknown {
  return path.reduce<unknown>((current, key) => (current as Record<PropertyKey, unknown> | undefined)?.[key], value);
}
