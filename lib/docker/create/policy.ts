import { realpathSync } from "node:fs";
import path from "node:path";
import { AppError } from "../../errors";
import type { RunSpec } from "./run-spec";

export interface Policy {
  /** what may be had all the same */
  allow: readonly string[];
  /** folders that mounts must lie in; any if empty */
  bindRoots: readonly string[];
  /** sockets that give their holder the host */
  sockets: readonly string[];
}

/** Capabilities that let a process out of its container, or into the kernel. */
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

/** Sockets of an engine beside the one that this server itself speaks to. */
export const ENGINE_SOCKETS = ["/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock"];

/**
 * Refuses what would hand the host to the container.
 * @throws AppError NOT_ALLOWED naming the field and what to allow
 */
export function checkPolicy(spec: RunSpec, policy: Policy): void {
  if (spec.privileged) requireAllowed(policy, "privileged", "privileged");
  if (spec.devices.length > 0) requireAllowed(policy, "devices", "devices");
  for (const field of ["network", "pid", "ipc", "uts", "userns"] as const) {
    if (spec[field] === "host") requireAllowed(policy, "host_namespaces", field);
  }
  for (const capability of spec.cap_add) {
    if (DANGEROUS_CAPABILITIES.has(capability.toUpperCase().replace(/^CAP_/, ""))) requireAllowed(policy, "capabilities", "cap_add");
  }
  for (const source of Object.keys(spec.volumes)) {
    if (source.startsWith("/")) checkBind(source, policy, "volumes");
  }
}

/**
 * Refuses a folder of the host that may not be mounted.
 * @param source absolute path on the host
 * @param field to be named in the error
 * @throws AppError NOT_ALLOWED
 */
export function checkBind(source: string, policy: Policy, field: string): void {
  const places = [path.posix.normalize(source), resolveLinks(source)].map(canonicalPath);
  for (const place of places) {
    // Through /proc lead ways to every other folder.
    const reachesSocket =
      isInside(place, "/proc") ||
      policy.sockets.some((socket) =>
        [socket, canonicalPath(socket), canonicalPath(resolveLinks(socket))].some((each) => isInside(each, place)),
      );
    if (reachesSocket) requireAllowed(policy, "docker_socket", field, `${source} leads to the engine's socket`);
    if (
      policy.bindRoots.length > 0 &&
      !policy.bindRoots.some((root) => isInside(place, canonicalPath(root)) || isInside(place, resolveLinks(root)))
    ) {
      throw new AppError("NOT_ALLOWED", {
        message: `${field}: ${source} is outside the folders that may be mounted`,
        details: { field, bind_roots: policy.bindRoots },
      });
    }
  }
}

/** Kinds of file system that reach no file of the host. */
const REMOTE_FILE_SYSTEMS = new Set(["tmpfs", "nfs", "nfs4", "cifs", "smb3"]);

/**
 * Refuses a volume that is a folder or a device of the host under another name.
 * @param driver of the volume
 * @param options given to it
 * @param field to be named in the error, for an option at fault
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
    // The engine takes a relative one from its own working folder, which is the root.
    if (device !== "") checkBind(path.posix.resolve("/", device), policy, field("device"));
  } else if (!REMOTE_FILE_SYSTEMS.has(type)) {
    requireAllowed(policy, "devices", field("type"), `a volume of type ${type} can be any disk or folder of the host`);
  }
}

function requireAllowed(policy: Policy, name: string, field: string, why?: string): void {
  if (policy.allow.includes(name)) return;
  throw new AppError("NOT_ALLOWED", {
    message: `${field} is refused${why ? `: ${why}` : ""}; the server must be started with --allow ${name}`,
    details: { field, allow: name },
  });
}

// /var/run is a link to /run on every Linux of today, also on a host whose folders this process can't see from its container.
function canonicalPath(place: string): string {
  const plain = path.posix.normalize(place).replace(/(.)\/+$/, "$1");
  return plain === "/var/run" || plain.startsWith("/var/run/") ? plain.slice("/var".length) : plain;
}

function isInside(place: string, folder: string): boolean {
  return place === folder || folder === "/" || place.startsWith(`${folder}/`);
}

/** Where the path really leads, as far as it exists here. */
function resolveLinks(place: string): string {
  const plain = path.posix.normalize(place);
  for (let head = plain; ; head = path.posix.dirname(head)) {
    try {
      return path.posix.join(realpathSync(head), plain.slice(head.length));
    } catch {
      if (head === "/") return plain;
    }
  }
}
