import type { ContainerCreateOptions } from "../../docker/engine";

/** Marks the containers of code runs. A sandbox exits when its server dies, and can be removed then, before its expiry. */
export const SANDBOX_LABEL = "docker-server.sandbox";

/** An image as sandboxes need it. */
export interface SandboxImage {
  id: string;
  /** paths of the volumes that the image declares */
  volumes: string[];
  /** further labels of its container */
  labels?: Record<string, string>;
}

/** The limits of code runs: times in seconds, sizes in bytes. */
export interface SandboxSettings {
  run_hostname: string;
  /** null: every sandbox gets its own */
  run_user: string | null;
  run_memory: number;
  run_network_disabled: boolean;
  run_nofile_soft: number;
  run_nofile_hard: number;
  run_nproc_soft: number;
  run_nproc_hard: number;
  run_cap_drop: string[];
  run_pids: number;
  /** 0: no limit */
  run_cpus: number;
  run_tmpfs: number;
  run_runtime: string | null;
  run_max_time: number;
  run_max_output: number;
}

/** The limits that clients are told; a part of the settings. */
export type SandboxLimits = Pick<
  SandboxSettings,
  "run_max_time" | "run_max_output" | "run_memory" | "run_cpus" | "run_pids" | "run_network_disabled"
>;

/**
 * How a code run was served, as the header `X-Run-Sandbox` has it: an item with parameters (RFC 8941, section 3.3), in the units of the
 * settings.
 */
export function sandboxHeader(isWarm: boolean, settings: SandboxLimits): string {
  const { run_max_time, run_max_output, run_memory, run_cpus, run_pids, run_network_disabled } = settings;
  const limits = { time: run_max_time, output: run_max_output, memory: run_memory, cpus: run_cpus, pids: run_pids };
  const parameters = Object.entries(limits).map(([name, value]) => (value === 0 ? "" : `;${name}=${value}`));
  return `${isWarm ? "warm" : "cold"}${parameters.join("")};network=${run_network_disabled ? "?0" : "?1"}`;
}

/**
 * The kernel counts processes per user over all containers (RLIMIT_NPROC): with one user for all sandboxes, a fork bomb in one would
 * stop the others. These are the ids that systemd allocates dynamically (DynamicUser).
 */
const USER_IDS = { first: 61_184, count: 4336 };
let userIndex = Math.floor(Math.random() * USER_IDS.count);

/** The options to create a code run's container with. */
export function sandboxOptions(image: SandboxImage, settings: SandboxSettings): ContainerCreateOptions {
  const tmpfs = `rw,exec,nosuid,nodev,mode=1777,size=${Math.floor(settings.run_tmpfs)}`;
  return {
    Image: image.id,
    Labels: { ...image.labels, [SANDBOX_LABEL]: "" },
    Hostname: settings.run_hostname,
    User: settings.run_user ?? nextUser(),
    OpenStdin: true,
    StdinOnce: true,
    AttachStdin: true,
    NetworkDisabled: settings.run_network_disabled,
    // The image's health check would run as an additional process.
    Healthcheck: { Test: ["NONE"] } as never,
    HostConfig: {
      ReadonlyRootfs: true,
      // Also over the image's volumes: those would be unlimited space on the disk.
      Tmpfs: Object.fromEntries(["/tmp", ...image.volumes].map((path) => [path, tmpfs])),
      ShmSize: Math.floor(settings.run_tmpfs),
      ...(settings.run_network_disabled ? { NetworkMode: "none" } : {}),
      Memory: settings.run_memory,
      MemorySwap: settings.run_memory,
      ...(settings.run_cpus === 0 ? {} : { NanoCpus: Math.round(settings.run_cpus * 1e9) }),
      PidsLimit: settings.run_pids,
      Ulimits: [
        { Name: "nofile", Soft: settings.run_nofile_soft, Hard: settings.run_nofile_hard },
        { Name: "nproc", Soft: settings.run_nproc_soft, Hard: settings.run_nproc_hard },
      ],
      CapDrop: settings.run_cap_drop,
      SecurityOpt: ["no-new-privileges"],
      // The output is read from the attached stream; a log would fill the disk.
      LogConfig: { Type: "none", Config: {} },
      ...(settings.run_runtime === null ? {} : { Runtime: settings.run_runtime }),
    },
  };
}

function nextUser(): string {
  userIndex = (userIndex + 1) % USER_IDS.count;
  const id = USER_IDS.first + userIndex;
  return `${id}:${id}`;
}
