import { readlinkSync, realpathSync } from "node:fs";
import path from "node:path";
import type { Access } from "../../access/access";
import { AppError } from "../../errors";
import { MAX_LINK_HOPS } from "../../support/max-link-hops";
import type { RunSpec } from "./run-spec";

export interface Policy {
  /** permissions granted by --allow: privileged, devices, host_namespaces, capabilities, docker_socket */
  allow: readonly string[];
  /** folders that bind mounts must be inside; any folder if empty */
  bindRoots: readonly string[];
  /** sockets that give control of the host */
  sockets: readonly string[];
  /** the engine's data root, with all images, containers and volumes; undefined while it is unknown */
  engineFolder?: string | undefined;
  /** what the client's token permits of the host, beside what this server allows; absent for the server's own work */
  access?: Access;
}

/** The options by which a container reaches the host, other containers or their volumes. */
export type HostAccess = Pick<RunSpec, "privileged" | "devices" | "cap_add" | "volumes" | "network" | "pid" | "ipc" | "uts" | "userns"> & {
  /** containers whose volumes it mounts */
  volumesFrom?: readonly string[];
};

/**
 * Prefix of the names of all containers and volumes that runs create, sandboxes included. Requests can't name such volumes, nor start or
 * rename such containers: the contents of read-only volumes are bind-mounted from there. The expiry label alone doesn't identify them:
 * containers of an image that was committed from a run's container inherit it.
 */
export const RUN_CONTAINER_PREFIX = "docker-server-job-";

/** Capabilities by which a process can leave its container or change the kernel. */
const DANGEROUS_CAPABILITIES = new Set([
  "ALL",
  "SYS_ADMIN",
  "SYS_MODULE",
  "SYS_PTRACE",
  "SYS_RAWIO",
  "SYS_BOOT",
  "SYS_TIME",
  "SYSLOG",
  "NET_ADMIN",
  "DAC_READ_SEARCH",
  "MAC_ADMIN",
  "MAC_OVERRIDE",
  "LINUX_IMMUTABLE",
  "BPF",
  "PERFMON",
  "CHECKPOINT_RESTORE",
  "AUDIT_CONTROL",
  "WAKE_ALARM",
  "BLOCK_SUSPEND",
]);

/** @param capability in any spelling that an engine takes */
export function isDangerousCapability(capability: string): boolean {
  return DANGEROUS_CAPABILITIES.has(capability.toUpperCase().replace(/^CAP_/, ""));
}

/** Usual sockets of container engines, besides the one that this server uses. */
export const ENGINE_SOCKETS = ["/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock"];

/**
 * Refuses options that give the container control of the host.
 * @throws AppError NOT_ALLOWED naming the field and what to allow
 */
export function checkPolicy(spec: HostAccess, policy: Policy): void {
  if (spec.privileged) requireAllowed(policy, "privileged", "privileged");
  if (spec.devices.length > 0) requireAllowed(policy, "devices", "devices");
  for (const field of ["network", "pid", "ipc", "uts", "userns"] as const) {
    if (spec[field] === "host") requireAllowed(policy, "host_namespaces", field);
  }
  for (const capability of spec.cap_add) {
    if (isDangerousCapability(capability)) requireAllowed(policy, "capabilities", "cap_add");
  }
  for (const source of Object.keys(spec.volumes)) {
    if (source.startsWith("/")) checkBind(source, policy, "volumes");
  }
}

/**
 * Refuses a bind mount that reaches an engine's socket or its data, or is outside the allowed folders.
 * @param source absolute path on the host
 * @param field name for the error
 * @throws AppError NOT_ALLOWED
 */
export function checkBind(source: string, policy: Policy, field: string): void {
  const paths = [path.posix.normalize(source), resolveLinks(source)].map(canonicalPath);
  for (const candidate of paths) {
    // /proc/PID/root leads to every other folder.
    const reachesSocket =
      isInside(candidate, "/proc") ||
      policy.sockets.some((socket) =>
        [socket, canonicalPath(socket), canonicalPath(resolveLinks(socket))].some((each) => isInside(each, candidate)),
      );
    if (reachesSocket)
      requireAllowed(policy, "docker_socket", field, `${source} leads to a socket of Docker's, which is root on this machine`);
    // Containers write below it, and could put a link in the place of the path that is mounted.
    if (overlaps(candidate, policy.engineFolder))
      requireAllowed(policy, "docker_socket", field, `${source} leads to the engine's own folder`);
    if (policy.access && !policy.access.isFull) {
      policy.access.assertHostPath((root) => isInside(candidate, canonicalPath(root)) || isInside(candidate, resolveLinks(root)), field);
    }
    if (
      policy.bindRoots.length > 0 &&
      !policy.bindRoots.some((root) => isInside(candidate, canonicalPath(root)) || isInside(candidate, resolveLinks(root)))
    ) {
      throw new AppError("NOT_ALLOWED", {
        message: `${field}: ${source} is outside the folders that may be mounted`,
        details: { field, bind_roots: policy.bindRoots },
      });
    }
  }
}

/** File system types that give no access to files of the host. */
const REMOTE_FILE_SYSTEMS = new Set(["tmpfs", "nfs", "nfs4", "cifs", "smb3"]);

/**
 * Refuses a volume whose options make it a folder or a device of the host.
 * @param options of the driver
 * @param field name for the error, of an option at fault
 * @throws AppError NOT_ALLOWED
 */
export function checkVolumeOptions(
  driver: string,
  options: Record<string, string>,
  policy: Policy,
  field: (option: string) => string,
): void {
  if (driver !== "local") {
    for (const [name, value] of Object.entries(options)) if (value.startsWith("/")) checkBind(value, policy, field(name));
    return;
  }
  const { type = "", o = "", device = "" } = options;
  const flags = o.split(",");
  const isBind = flags.includes("bind") || flags.includes("rbind");
  if (isBind || ["", "none", "bind"].includes(type)) {
    // A relative path is relative to the engine's working directory, which is the root.
    if (device !== "") checkBind(path.posix.resolve("/", device), policy, field("device"));
  } else if (!REMOTE_FILE_SYSTEMS.has(type)) {
    requireAllowed(policy, "devices", field("type"), `a volume of type ${type} can be any disk or folder of the host`);
  }
}

/**
 * @param name of what `--allow` opens
 * @param field at fault
 * @param why for the message
 * @throws AppError NOT_ALLOWED, REFUSED_BY_TOKEN
 */
export function requireAllowed(policy: Policy, name: string, field: string, why?: string): void {
  if (policy.allow.includes(name)) {
    policy.access?.assertHostOption(name, field);
    return;
  }
  throw new AppError("NOT_ALLOWED", {
    message: `${field} is refused${why ? `: ${why}` : ""}; the server must be started with --allow ${name}`,
    details: { field, allow: name },
  });
}

// /var/run is a link to /run on current Linux systems. In a container this process can't see the host's links, so it is assumed.
function canonicalPath(place: string): string {
  const normalized = path.posix.normalize(place).replace(/(.)\/+$/, "$1");
  return normalized === "/var/run" || normalized.startsWith("/var/run/") ? normalized.slice("/var".length) : normalized;
}

function overlaps(place: string, folder: string | undefined): boolean {
  if (folder === undefined) return false;
  return [folder, resolveLinks(folder)].map(canonicalPath).some((each) => isInside(place, each) || isInside(each, place));
}

/** The folder of the host that a volume of the driver `local` is; undefined if it is none. */
export function boundFolder(options: Record<string, string>): string | undefined {
  const { o = "", device = "" } = options;
  const isBind = o.split(",").some((flag) => flag === "bind" || flag === "rbind");
  return isBind && device !== "" ? path.posix.resolve("/", device) : undefined;
}

/**
 * Where a path of the host leads now.
 * @returns the path without links, and the folders in which its parts and those of its links are looked up: who writes one of these can
 *   make it lead elsewhere
 */
export function lookUp(place: string): { target: string; folders: string[] } {
  const parts = path.posix.normalize(place).split("/").filter(Boolean);
  const folders = new Set<string>();
  let folder = "/";
  for (let hops = 0; parts.length > 0; ) {
    const part = parts.shift() as string;
    folders.add(canonicalPath(folder));
    const next = path.posix.join(folder, part);
    const link = part === ".." ? undefined : readLink(next);
    if (link === undefined || ++hops > MAX_LINK_HOPS) {
      folder = next;
      continue;
    }
    if (link.startsWith("/")) folder = "/";
    parts.unshift(...link.split("/").filter((each) => each !== "" && each !== "."));
  }
  return { target: canonicalPath(folder), folders: [...folders] };
}

/** The target of a link; undefined for all else, and for what isn't there. */
function readLink(place: string): string | undefined {
  try {
    return readlinkSync(place);
  } catch {
    return undefined;
  }
}

/** Whether a path is a folder or below it. */
export function isInside(place: string, folder: string): boolean {
  return place === folder || folder === "/" || place.startsWith(`${folder}/`);
}

/** Resolves links in the part of the path that exists here. */
function resolveLinks(place: string): string {
  const normalized = path.posix.normalize(place);
  for (let head = normalized; ; head = path.posix.dirname(head)) {
    try {
      return path.posix.join(realpathSync(head), normalized.slice(head.length));
    } catch {
      if (head === "/") return normalized;
    }
  }
}
