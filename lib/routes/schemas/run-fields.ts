import { z } from "zod";
import { command as commandWords, flag, integer, list, listItems, map, matching, number, scalar } from "../../http/fields";
import { SIZE_FORMS, SIZE_PATTERN } from "../../support/byte-sizes";
import { labelKey, notOfRun } from "./common";

// The fields of a container, each declared once for all routes that take it.

const PORT = String.raw`\d{1,5}(?:-\d{1,5})?`;
const ADDRESS = String.raw`(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-fA-F:]+\])`;
const MOUNT_OPTIONS = "(?:ro|rw|z|Z|nocopy|(?:r)?(?:shared|slave|private)|consistent|cached|delegated)";

/** [[address:]host port:]container port[/protocol] */
const PORT_PATTERN = new RegExp(`^(?:(?:(${ADDRESS}):)?(${PORT})?:)?(${PORT}(?:/(?:tcp|udp|sctp))?)$`);
/** source:target[:options]; the source may begin with a Windows drive letter and its colon. */
const MOUNT_PATTERN = /^([A-Za-z]:[\\/][^:]*|[^:]+):(.+)$/s;

const hostPort = matching(new RegExp(`^(?:${ADDRESS}:)?(?:${PORT})?$`), "must be a host port, or address:port; 0 for any");
const CONTAINER_PORT_ERROR = "must be a container port, such as 6379 or 53/udp";
const containerPort = scalar.pipe(matching(new RegExp(`^${PORT}(?:/(?:tcp|udp|sctp))?$`), CONTAINER_PORT_ERROR));
const mountSource = matching(
  /^(?:\/[^:\0]{0,4095}|[a-zA-Z0-9][a-zA-Z0-9_.-]{1,254})$/,
  "must be an absolute path on the host or the name of a volume, of two characters or more",
).refine(...notOfRun);
const mountTarget = matching(
  new RegExp(`^/[^:\\0]{0,4095}(?::${MOUNT_OPTIONS}(?:,${MOUNT_OPTIONS})*)?$`),
  // The field that the message begins with is the source.
  ({ input }) =>
    `is source: target, and the target ${JSON.stringify(input)?.slice(0, 200)} must be an absolute path in the container, which :ro may follow`,
);
const containerPath = matching(/^\/[^:\0]{0,4095}$/, "must be an absolute path in the container");
const duration = matching(/^(?:\d+(?:\.\d+)?(?:ns|us|ms|s|m|h))+$/, "must be a duration, such as 30s or 1m30s");
const capability = matching(/^[A-Za-z_]+$/, "must be the name of a capability");
const namespace = matching(
  /^(?:host|private|shareable|none|container:[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254})$/,
  "must be host, private or container:NAME",
);
const singleLine = matching(/^[^\0\r\n]{1,4096}$/, "must be one line of text");

/**
 * A schema that accepts other forms too. The OpenAPI document shows the schema's own form alone.
 * @param convert turns the other forms into that of the schema, and returns any other value as it is; may throw ShortFormError
 */
function alsoAs<S extends z.ZodType>(convert: (value: unknown) => unknown, schema: S) {
  return z.preprocess((value, context) => {
    try {
      return convert(value);
    } catch (error) {
      return reject(error, context);
    }
  }, schema);
}

/** An item of a list that has not the form that it must have. */
class ShortFormError extends Error {
  /** @param path to the item */
  constructor(
    message: string,
    readonly path: (string | number)[],
  ) {
    super(message);
  }
}

function reject(error: unknown, context: z.core.$RefinementCtx): never {
  if (!(error instanceof ShortFormError)) throw error;
  context.addIssue({ code: "custom", message: error.message, path: error.path });
  return z.NEVER;
}

const isMap = (value: unknown): value is object => typeof value === "object" && value !== null && !Array.isArray(value);
const isText = (value: unknown) => typeof value === "string" || typeof value === "number";
const containsText = (part: string) => (value: unknown) => typeof value === "string" && value.includes(part);

/** Items of a list as entries of a map, whose names differ. */
function toUniqueMap<T>(entries: [name: string, value: T][], what: string): Record<string, T> {
  const names = new Set<string>();
  for (const [index, [name]] of entries.entries()) {
    if (names.has(name)) throw new ShortFormError(`has a ${what} that is there already`, [index]);
    names.add(name);
  }
  return Object.fromEntries(entries);
}

const VARIABLE_FORMS = 'a map, such as {"NAME": "value"}, or a list, such as ["NAME=value"]';
const variableName = matching(/^[A-Za-z_][A-Za-z0-9_.-]*$/, "must be the name of a variable");

/** Environment variables by name. @param value such as `scalar`, or what may be null */
export const variables = <V extends z.ZodType>(value: V) => alsoAs(toVariables, map(variableName, value, `must be ${VARIABLE_FORMS}`));

function toVariables(value: unknown): unknown {
  const entries = listItems(value, containsText("="))?.map((item, index): [string, string] => {
    const [, name, rest] = (typeof item === "string" && /^([^=]+)=(.*)$/s.exec(item)) || [];
    if (name === undefined || rest === undefined) throw new ShortFormError("must be NAME=value", [index]);
    return [name, rest];
  });
  return entries ? toUniqueMap(entries, "name") : value;
}

const PORT_FORMS = 'a map, such as {"8080": "80"}, or a list, such as ["8080:80", "53:53/udp"]';

/** A port to publish: host port, or address:port, or "" for any; and container port, or port/protocol. */
export type PublishedPort = [host: string, container: string];

/** Published ports: a map from host port to container port, or a list of texts such as `8080:80/udp`, or of objects. */
export const ports = alsoAs(
  toPortMap,
  map(hostPort, z.union([containerPort, z.array(containerPort)], { error: CONTAINER_PORT_ERROR }), `must be ${PORT_FORMS}`),
).transform((given) => Object.entries(given).flatMap(([host, container]) => [container].flat().map((each): PublishedPort => [host, each])));

/** Where `any free port` is asked for twice, its name in the map has both. */
function toPortMap(value: unknown): unknown {
  const items = listItems(value, containsText(":"));
  if (!items) return value;
  const result: Record<string, string[]> = {};
  for (const [host, container] of items.map((item, index) => toPublishedPort(item, index))) {
    const containers = result[host] ?? [];
    containers.push(container);
    result[host] = containers;
  }
  return result;
}

const PORT_FORM = 'must be [[address:]host port:]container port[/protocol], such as "8080:80"';

/** @throws ShortFormError */
function toPublishedPort(item: unknown, index: number, form = PORT_FORM): PublishedPort {
  if (typeof item === "object" && item !== null) {
    const { host, container, protocol = "tcp", ...others } = item as Record<string, unknown>;
    const fits = [container, protocol, host ?? 0].every(isText) && Object.keys(others).length === 0;
    if (fits) return [host ? String(host) : "", `${container}/${protocol}`];
  }
  const [, address, host = "", container] = (isText(item) && PORT_PATTERN.exec(String(item))) || [];
  if (container === undefined) throw new ShortFormError(form, [index]);
  return [address === undefined ? host : `${address}:${host}`, container];
}

const managedPort = z
  .object({
    host: integer(0, 65_535).nullish().describe("Port of the node, on all its addresses; 0 or absent for a free one"),
    container: integer(1, 65_535),
    protocol: z.enum(["tcp", "udp"], { error: "must be tcp or udp" }).default("tcp"),
  })
  .strict();

/** Published ports as a list of objects: on all addresses of the node, and without ranges. Takes the forms of `ports` too. */
export const portList = alsoAs(
  toPortObjects,
  z
    .array(managedPort, {
      error: 'must be a list of ports, such as [{"host": 8080, "container": 80, "protocol": "tcp"}] or ["8080:80", "53:53/udp"]',
    })
    .max(1000),
);

function toPortObjects(value: unknown): unknown {
  const isItem = (item: unknown) => typeof item === "object" || containsText(":")(item);
  const items = listItems(value, isItem) ?? (isMap(value) ? Object.entries(value).map((pair) => pair.join(":")) : undefined);
  return (
    items?.map((item, index) => {
      if (!isText(item)) return item;
      const [host, container] = toPublishedPort(item, index, 'must be [host port:]container port[/protocol], such as "8080:80"');
      const [number, protocol] = container.split("/");
      if (host.includes(":") || `${host}${number}`.includes("-"))
        throw new ShortFormError("must be one port, without an address: a managed container publishes on all of them", [index]);
      return { ...(host === "" ? {} : { host }), container: number, ...(protocol === undefined ? {} : { protocol }) };
    }) ?? value
  );
}

const MOUNT_FORM = "must be source:target, which :ro may follow";
const isMount = containsText(":/");

/** Splits source:target[:options]. @throws ShortFormError */
function splitMount(item: unknown, index: number): [source: string, target: string] {
  const [, source, target] = (typeof item === "string" && MOUNT_PATTERN.exec(item)) || [];
  if (source === undefined || target === undefined) throw new ShortFormError(MOUNT_FORM, [index]);
  return [toUnixPath(source), target];
}

/** Converts C:/host/data to /c/host/data, as Docker Desktop and Compose do for engines, which run on Linux. */
function toUnixPath(source: string): string {
  const [, drive, rest = ""] = /^([A-Za-z]):[\\/](.*)$/s.exec(source) ?? [];
  return drive === undefined ? source : `/${drive.toLowerCase()}/${rest.replaceAll("\\", "/")}`;
}

/** Mounts: a map from host path or volume to container path, or a list of texts such as `/a:/b:ro`. */
export const volumes = alsoAs(
  (value) => {
    const items = listItems(value, isMount);
    return items ? toUniqueMap(items.map(splitMount), "source") : value;
  },
  map(mountSource, mountTarget, 'must be a map, such as {"/host/path": "/data:ro"}, or a list, such as ["/host/path:/data:ro"]'),
);

/** Mounts as a list of texts, such as `/a:/b:ro`; takes the map of `volumes` too. Output: the map. */
export const mountList = alsoAs(
  (value) => listItems(value, isMount) ?? (isMap(value) ? Object.entries(value).map((mount) => mount.join(":")) : value),
  z.array(matching(MOUNT_PATTERN, MOUNT_FORM), { error: 'must be a list of mounts, such as ["/host/path:/data:ro"]' }),
).transform((items, context) => {
  try {
    const mounts = items.map(splitMount);
    mounts.forEach(([source, target], index) => {
      for (const { error } of [mountSource.safeParse(source), mountTarget.safeParse(target)])
        if (error) throw new ShortFormError(error.issues[0]?.message ?? MOUNT_FORM, [index]);
    });
    return toUniqueMap(mounts, "source");
  } catch (error) {
    return reject(error, context);
  }
});

/** Makes the schema of a map from container path to an entry accept a list of texts such as `/a:/b:ro` too. */
export const volumeEntries = <S extends z.ZodType>(schema: S) =>
  alsoAs((value) => {
    const mounts = listItems(value, isMount)?.map(splitMount);
    if (!mounts) return value;
    const entries = mounts.map(([source, target]): [string, object] => [
      target,
      source.startsWith("/") ? { type: "host", host_path: source } : { type: "volume", name: source },
    ]);
    return toUniqueMap(entries, "target");
  }, schema);

export const memory = scalar.pipe(matching(SIZE_PATTERN, `must be ${SIZE_FORMS}`));
export const cpus = number(0.01, 10_000);
export const pids = integer(-1, 4_194_304);
export const command = commandWords.describe("The command: a list, or a text that is split into words as a shell would");
export const execCommand = commandWords
  .refine((words) => words.length > 0, { error: "must hold a command" })
  .describe("The command: a list, or a text that is split into words as a shell would");
export const environment = variables(scalar).describe("Environment variables");
/** Labels by name, or a list of texts such as `name=value`. */
export const labels = alsoAs(
  // Labels, unlike variables, can be called by digits: those of a form's list count up.
  (value) =>
    isMap(value) && !Object.keys(value).every((name, index) => name === "" || name === String(index)) ? value : toVariables(value),
  map(labelKey, scalar, `must be ${VARIABLE_FORMS}`),
);
export const network = matching(/^(?:container:)?[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/, "must be the name of a network");
export const pullPolicy = z.enum(["missing", "always", "never"], { error: "must be missing, always or never" });
export const restartPolicy = matching(
  /^(?:no|always|unless-stopped|on-failure(?::\d{1,9})?)$/,
  "must be no, always, unless-stopped or on-failure[:times]",
);
export const autoRemove = flag.describe("Remove the container when it ends");
export const stopTimeout = integer(0, 3600).describe("Seconds that it is given to end before it is killed");
export const workdir = containerPath;
export const tmpfs = map(containerPath, matching(/^[\w=,%.]*$/, "must be mount options, such as size=64m"));
export const capabilities = list(capability);
export const devices = list(matching(/^\/[^\0\s]*$/, "must be a device, such as /dev/fuse"));
export const ulimits = map(
  matching(/^[a-z]+$/, "must be the name of a limit"),
  scalar.pipe(matching(/^-?\d{1,18}(?::-?\d{1,18})?$/, "must be soft:hard or one number")),
);
const HEALTH_COMMAND =
  'must be text for the container\'s shell, such as "wget -q -O - localhost", without CMD or CMD-SHELL; disable is for no health check';

export const healthcheckFields = {
  cmd: z
    .string({ error: HEALTH_COMMAND })
    .regex(/^(?!\s*(?:CMD|CMD-SHELL|NONE)(?:\s|$))[^\0]*$/, { error: HEALTH_COMMAND })
    .describe("Run by the container's shell"),
  interval: duration,
  timeout: duration,
  start_period: duration,
  retries: integer(0, 1_000_000),
  disable: flag.describe("No health check, not that of the image either"),
};
export const healthcheck = z.object(healthcheckFields).partial().strict();
export { namespace, singleLine };
