import { APP_FOLDER } from "../docker/app-folder";
import { ALIAS_LABEL, MANAGED_LABEL } from "../docker/containers/container-list";
import { PORT_LABEL } from "../docker/containers/published-port";
import { CUID_LABEL } from "../docker/containers/replaced-name";
import { confiningLabels, type ManagedSpec, RESUME_LABEL, SPEC_LABEL, serializeSpec } from "./managed-spec";

export interface ComposeDocumentOptions {
  /** replaces the image's entrypoint; empty: the image's own */
  entrypoint: string[];
  /** uid:gid; undefined: the image's own user */
  user: string | undefined;
  /** Whether the container replaces a running one, so that it must be started even after an interruption. */
  resume: boolean;
  /** keys of the image's labels: those that this server acts on are cleared */
  imageLabels: readonly string[];
}

/** The Compose file of a managed container's project, as YAML, for Compose's stdin. */
export function composeDocument(cuid: string, spec: ManagedSpec, options: ComposeDocumentOptions): string {
  const { entrypoint, user, resume, imageLabels } = options;
  const { cpus, memory, pids } = spec.resources;
  const tcpPort = spec.ports.find(({ protocol }) => protocol === "tcp");
  const tags = spec.tags.length > 0 ? { TAGS: spec.tags.join(",") } : {};
  const mounts = Object.entries(spec.volumes ?? {});
  const confining = confiningLabels(spec);
  const volumeLabels = Object.keys(confining).length > 0 ? { labels: confining } : {};
  const app = {
    image: spec.image,
    pull_policy: "never",
    container_name: cuid,
    // A network per project would exhaust the engine's address pools.
    network_mode: spec.network ?? "bridge",
    // A list: YAML limits the length of a map's key.
    environment: Object.entries({ ...spec.env, CONTAINER_UID: cuid, ...tags }).map(([name, value]) => `${name}=${value}`),
    volumes: [
      { type: "volume", source: "app", target: APP_FOLDER },
      ...mounts.map(([source, target]) => `${composeSource(source)}:${target}`),
    ],
    ports: spec.ports.map(({ host, container, protocol }) => ({
      target: container,
      protocol,
      ...(host === null ? {} : { published: String(host) }),
    })),
    labels: {
      ...Object.fromEntries(imageLabels.filter((key) => key.startsWith("docker-server.")).map((key) => [key, ""])),
      ...spec.labels,
      [MANAGED_LABEL]: "true",
      ...(tcpPort ? { [PORT_LABEL]: String(tcpPort.container) } : {}),
      [CUID_LABEL]: cuid,
      [SPEC_LABEL]: serializeSpec(spec),
      ...(spec.name === undefined ? {} : { [ALIAS_LABEL]: spec.name }),
      ...(resume ? { [RESUME_LABEL]: "true" } : {}),
    },
    ...(entrypoint.length > 0 ? { entrypoint } : {}),
    ...(spec.command ? { command: spec.command } : {}),
    ...(user === undefined ? {} : { user }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(memory === undefined ? {} : { mem_limit: memory }),
    ...(pids === undefined ? {} : { pids_limit: pids }),
    ...(spec.restart_policy === undefined ? {} : { restart: spec.restart_policy }),
    ...(spec.init === undefined ? {} : { init: spec.init }),
    ...(spec.stop_timeout === undefined ? {} : { stop_grace_period: `${spec.stop_timeout}s` }),
    ...(spec.healthcheck === undefined ? {} : { healthcheck: composeHealthcheck(spec.healthcheck) }),
  };
  const external = mounts.filter(([source]) => !source.startsWith("/")).map(([name]) => [composeSource(name), { name, external: true }]);
  return toYaml({ services: { app }, volumes: { app: { name: cuid, ...volumeLabels }, ...Object.fromEntries(external) } });
}

/** A host path, or the key of a named volume, which must differ from that of the app's own. */
const composeSource = (source: string) => (source.startsWith("/") ? source : `external-${source}`);

function composeHealthcheck({ cmd, disable, ...rest }: NonNullable<ManagedSpec["healthcheck"]>): object {
  return disable ? { disable } : { ...(cmd === undefined ? {} : { test: ["CMD-SHELL", cmd] }), ...rest };
}

/** Characters that JSON allows unescaped and YAML does not, or reads as line breaks. */
const ESCAPED_IN_YAML = /[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]/g;

/** Serializes as JSON that is also YAML. `$` is doubled: Compose interpolates `$NAME`. Lone surrogates become U+FFFD. */
function toYaml(document: object): string {
  const text = JSON.stringify(document, (_key, value) =>
    typeof value === "string" ? value.replaceAll("$", "$$$$").replace(/\p{Surrogate}/gu, "\ufffd") : value,
  );
  return text.replace(ESCAPED_IN_YAML, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
