import { z } from "zod";
import { CUID_PATTERN } from "./cuid";

/** A managed container's own label: its cuid, which is its name, too. What has another name was made of an image that was committed of one. */
export const CUID_LABEL = "docker-server.cuid";
/** What it is to be, without the values of its environment: the list shows labels to all. */
export const SPEC_LABEL = "docker-server.spec";
/** On one that takes the place of a running one: if it was never started, that is still to come. */
export const RESUME_LABEL = "docker-server.resume";

const port = z.object({ host: z.number().nullable(), container: z.number(), protocol: z.enum(["tcp", "udp"]) });
const resources = z.object({ cpus: z.number().optional(), memory: z.string().optional(), pids: z.number().optional() });

const storedSpec = z.object({
  image: z.string(),
  tags: z.array(z.string()),
  resources,
  ports: z.array(port),
  command: z.array(z.string()).optional(),
  labels: z.record(z.string(), z.string()),
  /** see `entryOf` */
  boot: z.string(),
  /** names of variables */
  env: z.array(z.string()),
});

export type PortMapping = z.output<typeof port>;
export type ResourceLimits = z.output<typeof resources>;
type StoredSpec = z.output<typeof storedSpec>;

/** What a managed container is to be (container-management-api.md, "Create Container"). */
export interface ManagedSpec extends Omit<StoredSpec, "env"> {
  env: Record<string, string>;
}

/** What its labels tell of a managed container; undefined if it is none. */
export function readManagedSpec({ name, labels }: { name: string; labels: Record<string, string> }): StoredSpec | undefined {
  if (labels[CUID_LABEL] !== name || !CUID_PATTERN.test(name)) return undefined;
  try {
    return storedSpec.parse(JSON.parse(labels[SPEC_LABEL] ?? ""));
  } catch {
    return undefined; // a label like ours, of somebody else
  }
}

/**
 * @param env what the container has, as the engine tells it: the values that the labels leave out
 */
export function restoreSpec({ env: names, ...rest }: StoredSpec, env: readonly string[]): ManagedSpec {
  const values = new Map(env.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
  return { ...rest, env: Object.fromEntries(names.flatMap((name) => (values.has(name) ? [[name, values.get(name) as string]] : []))) };
}

export function serializeSpec({ env, ...rest }: ManagedSpec): string {
  return JSON.stringify({ ...rest, env: Object.keys(env) } satisfies StoredSpec);
}
