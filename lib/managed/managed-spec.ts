import { z } from "zod";
import { CUID_LABEL } from "../docker/containers/replaced-name";
import { CUID_PATTERN } from "./cuid";

/** The spec as JSON, without the values of environment variables: lists show labels to every client. */
export const SPEC_LABEL = "docker-server.spec";
/** Set on a container that replaces a running one: if it was never started, the replacement was interrupted. */
export const RESUME_LABEL = "docker-server.resume";

const port = z.object({ host: z.number().nullable(), container: z.number(), protocol: z.enum(["tcp", "udp"]) });
const resources = z.object({ cpus: z.number().optional(), memory: z.string().optional(), pids: z.number().optional() });

/** Values that Compose reads as they are. The label may be forged: nothing else may reach the Compose file. */
const mounts = z.record(z.string().regex(/^(?:\/[^:\0]*|[a-zA-Z0-9][a-zA-Z0-9_.-]*)$/), z.string().regex(/^\/[^:\0]*(?::[a-zA-Z,]+)?$/));
const healthcheck = z.object({
  cmd: z.string().optional(),
  interval: z.string().optional(),
  timeout: z.string().optional(),
  start_period: z.string().optional(),
  retries: z.number().optional(),
  disable: z.boolean().optional(),
});

const storedSpec = z.object({
  image: z.string(),
  tags: z.array(z.string()),
  resources,
  ports: z.array(port),
  command: z.array(z.string()).optional(),
  /** the alias of the cuid */
  name: z.string().optional(),
  restart_policy: z.string().optional(),
  healthcheck: healthcheck.optional(),
  /** host path or volume to container path, or path:options */
  volumes: mounts.optional(),
  network: z.string().optional(),
  init: z.boolean().optional(),
  /** seconds */
  stop_timeout: z.number().optional(),
  labels: z.record(z.string(), z.string()),
  /** interpreter that checks for /app/boot.py, see `bootEntrypoint` */
  boot: z.string(),
  /** names of the environment variables */
  env: z.array(z.string()),
});

export type PortMapping = z.output<typeof port>;
export type ResourceLimits = z.output<typeof resources>;
type StoredSpec = z.output<typeof storedSpec>;

/** The desired state of a managed container (docs/managed.md, "Create"). */
export interface ManagedSpec extends Omit<StoredSpec, "env"> {
  env: Record<string, string>;
}

/** The labels of the token that a container was made with: of its other labels only this server's own are in the spec. */
export function confiningLabels({ labels }: Pick<ManagedSpec, "labels">): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).filter(([key]) => !key.startsWith("docker-server.")));
}

/** Reads the spec from a container's labels; undefined if the container is not managed. */
export function readManagedSpec({ name, labels }: { name: string; labels: Record<string, string> }): StoredSpec | undefined {
  if (labels[CUID_LABEL] !== name || !CUID_PATTERN.test(name)) return undefined;
  try {
    return storedSpec.parse(JSON.parse(labels[SPEC_LABEL] ?? ""));
  } catch {
    return undefined; // the label was set by somebody else
  }
}

/**
 * Completes a stored spec with the values of its variables.
 * @param env the container's environment, as `NAME=value` lines of the engine
 */
export function restoreSpec({ env: names, ...rest }: StoredSpec, env: readonly string[]): ManagedSpec {
  const values = new Map(env.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
  return { ...rest, env: Object.fromEntries(names.flatMap((name) => (values.has(name) ? [[name, values.get(name) as string]] : []))) };
}

/** The value of `SPEC_LABEL`. */
export function serializeSpec({ env, ...rest }: ManagedSpec): string {
  return JSON.stringify({ ...rest, env: Object.keys(env) } satisfies StoredSpec);
}
