import { BlockList, isIP } from "node:net";
import { z } from "zod";
import { SIZE_FORMS } from "../support/byte-sizes";
import { PERMISSIONS } from "./permissions";

/** Keys of labels that Docker, Compose and this server give a meaning: a token can't be confined by them. */
const RESERVED_LABEL = /^(?:docker-server|dockapi|com\.docker|io\.docker|org\.dockerproject)\./;

/** What is wrong with a value that is no map; what is wrong inside of one has messages of its own. */
const mustBeMap = (example: string) => ({
  error: ({ code }: { code: string }) => (code === "invalid_type" ? `must be a map in JSON, such as ${example}` : undefined),
});

const labels = z
  .record(
    z.string().regex(/^[^\0\s=]{1,200}$/, "must be a label's key"),
    z.string({ error: "must be text" }).max(1000),
    mustBeMap('{"customer":"a"}'),
  )
  .refine((map) => Object.keys(map).length > 0, { error: "must hold a label" })
  .refine((map) => !Object.keys(map).some((key) => RESERVED_LABEL.test(key)), { error: "must not hold a label that is reserved" });

/** A list of texts; no form's fields, since a token's caveats are JSON. */
const listOf = <T extends z.ZodType>(item: T, example: string) =>
  z.array(item, { error: `must be a list in JSON, not in a form, such as ["${example}"]` });

/** A host name, port and path of an image, of which `*` at the end stands for any rest. */
const IMAGE_PATTERN = /^(?:\*|[a-z0-9][a-zA-Z0-9._:/@-]{0,254}\*?)$/;

const address = z
  .string()
  .refine((text) => toAddressList([text]) !== undefined, { error: "must be an address, or a network such as 10.0.0.0/8" });

/** Names in the `host` caveat besides the names of `--allow` and absolute paths. */
export const DRIVER_OPTIONS = "driver_opts";
const HOST_NAMES = ["privileged", "devices", "host_namespaces", "capabilities", "docker_socket", DRIVER_OPTIONS];
const hostPart = z
  .string()
  .max(4096)
  .refine((text) => HOST_NAMES.includes(text) || /^\/[^\0]*$/.test(text), {
    error: `must be an absolute path, or one of ${HOST_NAMES.join(", ")}`,
  });

const count = z.int({ error: "must be a whole number, such as 10" }).min(0);
const max = z
  .object(
    {
      containers: count,
      memory: z.int({ error: `must be ${SIZE_FORMS}` }).min(0),
      cpus: z.number({ error: "must be a number, such as 1.5" }).min(0),
      runs: count,
    },
    mustBeMap('{"containers":10,"memory":536870912}'),
  )
  .partial()
  .strict();

/** How a request states `expires`. */
export const EXPIRES_FORMS = "seconds since 1970, or a time from now such as 30m, 12h or 7d";

/** The caveats of one link of a token's chain (docs/security.md, "Caveats"). The field names are part of the token's format. */
export const caveatsSchema = z
  .object({
    can: listOf(z.enum(PERMISSIONS, { error: `must be some of ${PERMISSIONS.join(", ")}` }), "read"),
    labels,
    images: listOf(z.string().regex(IMAGE_PATTERN, "must be an image, which * may end"), "busybox"),
    nodes: listOf(z.string().min(1).max(200), "node-1"),
    host: listOf(hostPart, "/srv/data"),
    max,
    from: listOf(address, "10.0.0.0/8"),
    /** seconds since 1970 */
    expires: z.int({ error: `must be ${EXPIRES_FORMS}` }).min(0),
  })
  .partial()
  .strict();

export type Caveats = z.output<typeof caveatsSchema>;
export type CaveatName = keyof Caveats;

/** The caveats that this version enforces on every surface. A token with any other is refused. */
export const ENFORCED_CAVEATS: readonly CaveatName[] = ["can", "labels", "images", "nodes", "host", "max", "from", "expires"];

/** Addresses and networks as one list; undefined if one of them can't be read. */
export function toAddressList(texts: readonly string[]): BlockList | undefined {
  const list = new BlockList();
  for (const text of texts) {
    const [, host = "", prefix] = /^([0-9a-fA-F:.]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
    const family = isIP(host);
    const bits = family === 4 ? 32 : 128;
    if (family === 0 || Number(prefix ?? bits) > bits) return undefined;
    list.addSubnet(host, Number(prefix ?? bits), family === 4 ? "ipv4" : "ipv6");
  }
  return list;
}
