import { z } from "zod";
import { isDangerousCapability, type Policy, requireAllowed } from "../../docker/create/policy";
import { AppError, invalidField } from "../../errors";
import { checked, dropped, type Fields, harmless, nested, struct } from "./body-table";
import { binds, mountList, tmpfsMap, volumeDriver, volumesFrom } from "./mounts";
import { flag, integer, matching, text, textMap, textOrTexts, texts } from "./values";

const CONTAINER = "container:[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}";

/**
 * A namespace: `host` needs a permission, and what isn't known is refused, since podman takes paths of namespaces here.
 * @param others the values besides `host` that are harmless or judged where the engine can be asked
 */
const namespace = (others: RegExp, expected: string) =>
  checked(text, (value, policy, field) => {
    if (value === "host") requireAllowed(policy, "host_namespaces", field);
    else if (!others.test(value)) throw invalidField(field, `must be ${expected}`);
  });

/** Refuses all but an empty value. */
const needs = (name: string, why: string) => (value: string | readonly unknown[] | object, policy: Policy, field: string) => {
  const size = typeof value === "string" || Array.isArray(value) ? value.length : Object.keys(value).length;
  if (size > 0) requireAllowed(policy, name, field, why);
};

const device = struct({ PathOnHost: harmless(text), PathInContainer: harmless(text), CgroupPermissions: harmless(text) });
const deviceRequest = struct({
  Driver: harmless(text),
  Count: harmless(integer),
  DeviceIDs: harmless(texts),
  Capabilities: harmless(z.array(texts)),
  Options: harmless(textMap),
});
const weightDevices = harmless(z.array(struct({ Path: harmless(text), Weight: harmless(integer) })));
const throttleDevices = harmless(z.array(struct({ Path: harmless(text), Rate: harmless(integer) })));
const ulimit = struct({ Name: harmless(text), Soft: harmless(integer), Hard: harmless(integer) });

export const restartPolicy = harmless(
  struct({
    Name: harmless(matching(/^(?:no|always|unless-stopped|on-failure)?$/, "must be no, always, unless-stopped or on-failure")),
    MaximumRetryCount: harmless(integer),
  }),
);

/** The resources of a container, which an update can change. */
export const RESOURCES = {
  CpuShares: harmless(integer),
  Memory: harmless(integer),
  NanoCpus: harmless(integer),
  CgroupParent: checked(text, needs("host_namespaces", "it puts the container into a cgroup of the host")),
  BlkioWeight: harmless(integer),
  BlkioWeightDevice: weightDevices,
  BlkioDeviceReadBps: throttleDevices,
  BlkioDeviceWriteBps: throttleDevices,
  BlkioDeviceReadIOps: throttleDevices,
  BlkioDeviceWriteIOps: throttleDevices,
  CpuPeriod: harmless(integer),
  CpuQuota: harmless(integer),
  CpuRealtimePeriod: harmless(integer),
  CpuRealtimeRuntime: harmless(integer),
  CpusetCpus: harmless(text),
  CpusetMems: harmless(text),
  Devices: checked(z.array(device), needs("devices", "a device of the host")),
  DeviceCgroupRules: checked(texts, needs("devices", "it opens devices of the host")),
  DeviceRequests: checked(z.array(deviceRequest), needs("devices", "it opens devices of the host")),
  DiskQuota: harmless(integer),
  KernelMemory: harmless(integer),
  KernelMemoryTCP: harmless(integer),
  MemoryReservation: harmless(integer),
  MemorySwap: harmless(integer),
  MemorySwappiness: harmless(integer),
  OomKillDisable: harmless(flag),
  PidsLimit: harmless(integer),
  Ulimits: harmless(z.array(ulimit)),
  CpuCount: harmless(integer),
  CpuPercent: harmless(integer),
  IOMaximumIOps: harmless(integer),
  IOMaximumBandwidth: harmless(integer),
} satisfies Fields;

/** Log drivers that write on this host only, where the engine decides, with their harmless options. */
const LOG_DRIVERS = ["", "json-file", "local", "journald", "none", "k8s-file"];
const LOG_OPTIONS = ["max-size", "max-file", "compress", "labels", "labels-regex", "env", "env-regex", "tag", "mode", "max-buffer-size"];

const LOG_CONFIG = {
  Type: checked(text, (value, _policy, field) => {
    if (!LOG_DRIVERS.includes(value)) throw refusal(field, `it must be one of ${LOG_DRIVERS.filter(Boolean).join(", ")}`);
  }),
  Config: checked(textMap, (value, _policy, field) => {
    const unknown = Object.keys(value).find((option) => !LOG_OPTIONS.includes(option));
    if (unknown !== undefined) throw refusal(`${field}.${unknown}`, `options of logs must be some of ${LOG_OPTIONS.join(", ")}`);
  }),
} satisfies Fields;

/** Sysctls that have a value of their own in each container's namespaces. */
const NAMESPACED_SYSCTL =
  /^(?:kernel\.(?:msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced|domainname)|fs\.mqueue\.[a-z_]+|net\.[\w./-]+)$/;

/** Security options that take nothing away from the engine's defaults. */
const HARMLESS_SECURITY = /^(?:no-new-privileges(?:[:=](?:true|false))?|apparmor[:=]docker-default|seccomp[:=]builtin)$/;

const MASKED_PATHS = [
  "/proc/asound",
  "/proc/acpi",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/sys/firmware",
];
const READONLY_PATHS = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/** A list that replaces the engine's own: whoever copies a container sends what inspect says. */
const covering = (own: readonly string[]) =>
  checked(texts, (value, policy, field) => {
    if (!own.every((each) => value.includes(each))) requireAllowed(policy, "privileged", field, `it leaves out some of ${own.join(", ")}`);
  });

const RUNTIMES = ["", "runc", "crun", "io.containerd.runc.v2"];

/** Every field of HostConfig in the API 1.24 to 1.52. */
export const HOST_CONFIG = {
  Binds: binds,
  // Podman would write a file of the host.
  ContainerIDFile: dropped(text),
  LogConfig: nested(LOG_CONFIG),
  NetworkMode: namespace(new RegExp(`^(?:${CONTAINER}|[^:/,\\s]*)$`), "the name of a network, or container:NAME"),
  PortBindings: harmless(z.record(text, z.array(struct({ HostIp: harmless(text), HostPort: harmless(text) })).nullable())),
  RestartPolicy: restartPolicy,
  AutoRemove: harmless(flag),
  VolumeDriver: volumeDriver,
  VolumesFrom: volumesFrom,
  ConsoleSize: harmless(z.array(integer)),
  Annotations: checked(textMap, needs("privileged", "they command the runtime")),
  CapAdd: checked(textOrTexts, (value, policy, field) => {
    for (const each of value) {
      if (!/^[A-Za-z_]+$/.test(each)) throw invalidField(field, "must be names of capabilities");
      if (isDangerousCapability(each)) requireAllowed(policy, "capabilities", field, each);
    }
  }),
  CapDrop: harmless(textOrTexts),
  CgroupnsMode: namespace(/^(?:private)?$/, "private or host"),
  Dns: harmless(texts),
  DnsOptions: harmless(texts),
  DnsSearch: harmless(texts),
  ExtraHosts: harmless(texts),
  GroupAdd: harmless(texts),
  IpcMode: namespace(new RegExp(`^(?:none|private|shareable|${CONTAINER})?$`), "none, private, shareable, host or container:NAME"),
  Cgroup: checked(text, needs("host_namespaces", "it joins a cgroup")),
  Links: harmless(z.array(matching(/^\/?[a-zA-Z0-9][\w.-]*(?::[^\s:]+)?$/, "must be links, NAME:ALIAS"))),
  OomScoreAdj: checked(integer, (value, policy, field) => {
    if (value < 0) requireAllowed(policy, "privileged", field, "below 0 it protects the container against the kernel");
  }),
  PidMode: namespace(new RegExp(`^(?:private|${CONTAINER})?$`), "host or container:NAME"),
  Privileged: checked(flag, (value, policy, field) => {
    if (value) requireAllowed(policy, "privileged", field);
  }),
  PublishAllPorts: harmless(flag),
  ReadonlyRootfs: harmless(flag),
  SecurityOpt: checked(texts, (value, policy, field) => {
    const other = value.find((each) => !HARMLESS_SECURITY.test(each));
    if (other !== undefined) requireAllowed(policy, "privileged", field, other.slice(0, 100));
  }),
  StorageOpt: checked(textMap, (value, policy, field) => {
    if (Object.keys(value).some((option) => option !== "size")) requireAllowed(policy, "privileged", field, "only size is harmless");
  }),
  Tmpfs: tmpfsMap,
  UTSMode: namespace(/^(?:private)?$/, "private or host"),
  UsernsMode: namespace(/^(?:private)?$/, "private or host"),
  ShmSize: harmless(integer),
  Sysctls: checked(textMap, (value, policy, field) => {
    const other = Object.keys(value).find((name) => !NAMESPACED_SYSCTL.test(name));
    if (other !== undefined) requireAllowed(policy, "privileged", `${field}.${other}`, "it is a value of the whole host");
  }),
  Runtime: checked(text, (value, policy, field) => {
    if (!RUNTIMES.includes(value)) requireAllowed(policy, "privileged", field, "another runtime may isolate less");
  }),
  Isolation: harmless(text),
  ...RESOURCES,
  // docker-py's spelling of two of these, which engines take as well.
  CPURealtimePeriod: harmless(integer),
  CPURealtimeRuntime: harmless(integer),
  Mounts: mountList,
  MaskedPaths: covering(MASKED_PATHS),
  ReadonlyPaths: covering(READONLY_PATHS),
  Init: harmless(flag),
} satisfies Fields;

function refusal(field: string, why: string): AppError {
  return new AppError("NOT_ALLOWED", { message: `${field} is refused: ${why}`, details: { field } });
}
