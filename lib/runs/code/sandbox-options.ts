import type { ContainerCreateOptions } from "../../docker/engine";
import type { SandboxImage } from "./sandbox";

/** What code runs use has this label. What waits ends with its server, and then needn't wait for its time. */
export const SANDBOX_LABEL = "docker-server.sandbox";

/** The limits of code runs. Times in seconds, sizes in bytes. */
export interface SandboxSettings {
  run_hostname: string;
  /** a user of its own for each if null */
  run_user: string | null;
  run_memory: number;
  run_network_disabled: boolean;
  run_nofile_soft: number;
  run_nofile_hard: number;
  run_nproc_soft: number;
  run_nproc_hard: number;
  run_cap_drop: string[];
  run_pids: number;
  run_cpus: number;
  run_tmpfs: number;
  run_runtime: string | null;
  run_max_time: number;
  run_max_output: number;
}

/**
 * The kernel counts the processes that a user may have over all containers: with one user for all, a fork bomb in one would stop the
 * others. These are the numbers that Linux systems keep for users made on the fly.
 */
const USERS = { from: 61_184, count: 4336 };
let users = Math.floor(Math.random() * USERS.count);

/** What a code run's container is created with. */
export function sandboxOptions(image: SandboxImage, settings: SandboxSettings): ContainerCreateOptions {
  const tmpfs = `rw,exec,nosuid,nodev,mode=1777,size=${Math.floor(settings.run_tmpfs)}`;
  return {
    Image: image.id,
    Labels: { [SANDBOX_LABEL]: "" },
    Hostname: settings.run_hostname,
    User: settings.run_user ?? ownUser(),
    OpenStdin: true,
    StdinOnce: true,
    AttachStdin: true,
    NetworkDisabled: settings.run_network_disabled,
    // The image's check would be a process that nobody has asked for.
    Healthcheck: { Test: ["NONE"] } as never,
    HostConfig: {
      ReadonlyRootfs: true,
      // A volume that the image declares would be room on the disk.
      Tmpfs: Object.fromEntries(["/tmp", ...image.volumes].map((path) => [path, tmpfs])),
      ShmSize: Math.floor(settings.run_tmpfs),
      ...(settings.run_network_disabled ? { NetworkMode: "none" } : {}),
      Memory: settings.run_memory,
      MemorySwap: settings.run_memory,
      NanoCpus: Math.round(settings.run_cpus * 1e9),
      PidsLimit: settings.run_pids,
      Ulimits: [
        { Name: "nofile", Soft: settings.run_nofile_soft, Hard: settings.run_nofile_hard },
        { Name: "nproc", Soft: settings.run_nproc_soft, Hard: settings.run_nproc_hard },
      ],
      CapDrop: settings.run_cap_drop,
      SecurityOpt: ["no-new-privileges"],
      // What it writes is in nobody's log, and on no disk.
      LogConfig: { Type: "none", Config: {} },
      ...(settings.run_runtime === null ? {} : { Runtime: settings.run_runtime }),
    },
  };
}

function ownUser(): string {
  users = (users + 1) % USERS.count;
  return `${USERS.from + users}:${USERS.from + users}`;
}
