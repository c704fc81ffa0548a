import { MANAGED_LABEL } from "../docker/containers/container-list";
import { PORT_LABEL } from "../docker/containers/published-port";
import { CUID_LABEL, type ManagedSpec, RESUME_LABEL, SPEC_LABEL, serializeSpec } from "./managed-spec";

/** The folder that stays when a container is made anew. */
export const APP_FOLDER = "/app";

export interface ComposeDocumentOptions {
  /** what it runs instead of the image's own; the image's own if empty */
  entry: string[];
  /** uid:gid; the image's own if absent */
  user: string | undefined;
  /** Whether it is to be started after it was made, in the place of one that runs. */
  resume: boolean;
}

/** The Compose project of a managed container, as Compose reads it on its standard input. */
export function composeDocument(cuid: string, spec: ManagedSpec, { entry, user, resume }: ComposeDocumentOptions): string {
  const { cpus, memory, pids } = spec.resources;
  const served = spec.ports.find(({ protocol }) => protocol === "tcp");
  const tags = spec.tags.length > 0 ? { TAGS: spec.tags.join(",") } : {};
  const app = {
    image: spec.image,
    pull_policy: "never",
    container_name: cuid,
    // The engine's own: a network for each would use up its addresses.
    network_mode: "bridge",
    // As a list: a long key of a map is more than YAML takes.
    environment: Object.entries({ ...spec.env, CONTAINER_UID: cuid, ...tags }).map(([name, value]) => `${name}=${value}`),
    volumes: [{ type: "volume", source: "app", target: APP_FOLDER }],
    ports: spec.ports.map(({ host, container, protocol }) => ({
      target: container,
      protocol,
      ...(host === null ? {} : { published: String(host) }),
    })),
    labels: {
      ...spec.labels,
      [MANAGED_LABEL]: "true",
      ...(served ? { [PORT_LABEL]: String(served.container) } : {}),
      [CUID_LABEL]: cuid,
      [SPEC_LABEL]: serializeSpec(spec),
      ...(resume ? { [RESUME_LABEL]: "true" } : {}),
    },
    ...(entry.length > 0 ? { entrypoint: entry } : {}),
    ...(spec.command ? { command: spec.command } : {}),
    ...(user === undefined ? {} : { user }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(memory === undefined ? {} : { mem_limit: memory }),
    ...(pids === undefined ? {} : { pids_limit: pids }),
  };
  return toYaml({ services: { app }, volumes: { app: { name: cuid } } });
}

/** What JSON may hold as it is and YAML may not, or takes for the end of a line. */
const ESCAPED_IN_YAML = /[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]/g;

/** JSON that YAML reads as the same: Compose replaces every `$…` in it, but for `$$`. */
function toYaml(document: object): string {
  const text = JSON.stringify(document, (_key, value) =>
    typeof value === "string" ? value.replaceAll("$", "$$$$").replace(/\p{Surrogate}/gu, "\ufffd") : value,
  );
  return text.replace(ESCAPED_IN_YAML, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
