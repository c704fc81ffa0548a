import type { Setting } from "./setting";

/** The largest id of a user or group in Linux. */
const MAX_OWNER_ID = 2 ** 32 - 2;

/** The rows of the settings table about runs. */
export const RUN_SETTINGS = {
  run_concurrency: {
    type: "number",
    default: 10,
    min: 1,
    env: ["SERVER_WORKER_THREADS"],
    group: "Runs",
    help: "One-off and code runs at a time",
  },
  run_files: {
    type: "number",
    default: 50000000,
    min: 1,
    group: "Runs",
    help: "Content of a run's files and folders, or of a volume, unpacked, in or out, bytes",
  },
  run_pids: {
    type: "number",
    default: 512,
    min: 1,
    group: "Runs",
    help: "Processes of a code run, or of a one-off that asks for no number",
  },
  run_hostname: { type: "string", default: "run", env: ["DOCKER_CONTAINER_HOSTNAME"], group: "Runs", help: "Host name inside a code run" },
  run_user: {
    type: "string",
    default: null,
    env: ["DOCKER_CONTAINER_USER"],
    group: "Runs",
    help: "User of a code run; one of its own for each if unset",
  },
  run_memory: {
    type: "number",
    default: 500000000,
    env: ["DOCKER_CONTAINER_MEMORY"],
    group: "Runs",
    help: "Memory of a code run, or of a one-off that asks for no amount, bytes",
  },
  run_network_disabled: {
    type: "boolean",
    default: true,
    env: ["DOCKER_CONTAINER_NETWORK_DISABLED"],
    group: "Runs",
    help: "No network in a code run",
  },
  run_nofile_soft: {
    type: "number",
    default: 90,
    env: ["DOCKER_CONTAINER_ULIMIT_NOFILE_SOFT"],
    group: "Runs",
    help: "Open files of a code run, soft",
  },
  run_nofile_hard: {
    type: "number",
    default: 100,
    env: ["DOCKER_CONTAINER_ULIMIT_NOFILE_HARD"],
    group: "Runs",
    help: "Open files of a code run, hard",
  },
  run_nproc_soft: {
    type: "number",
    default: 90,
    env: ["DOCKER_CONTAINER_ULIMIT_NPROC_SOFT"],
    group: "Runs",
    help: "Processes of a code run, soft",
  },
  run_nproc_hard: {
    type: "number",
    default: 100,
    env: ["DOCKER_CONTAINER_ULIMIT_NPROC_HARD"],
    group: "Runs",
    help: "Processes of a code run, hard",
  },
  run_cap_drop: {
    type: "list",
    default: ["ALL"],
    env: ["DOCKER_CONTAINER_CAP_DROP"],
    group: "Runs",
    help: "Capabilities a code run loses",
  },
  run_max_time: {
    type: "number",
    default: 30,
    env: ["RUN_MAX_EXECUTION_TIME"],
    group: "Runs",
    help: "Seconds a one-off or code run may take",
  },
  run_max_output: { type: "number", default: 1000000, env: ["RUN_MAX_OUTPUT_SIZE"], group: "Runs", help: "Output of a run, bytes" },
  run_tmpfs: {
    type: "number",
    default: 64000000,
    min: 4096,
    group: "Runs",
    help: "Room on /tmp in a code run, and as much again for shared memory; all else is read-only; bytes",
  },
  run_cpus: {
    type: "number",
    default: 1,
    min: 0,
    group: "Runs",
    help: "CPUs of a code run; 0 for no limit, as on hosts without CPU quotas",
  },
  run_runtime: {
    type: "string",
    default: null,
    group: "Runs",
    help: "Container runtime of code runs, such as runsc; the engine's own if unset",
  },
  run_pool_memory: {
    type: "number",
    default: 2000000000,
    group: "Runs",
    help: "Memory for containers that are kept ready for code runs, run_memory each, bytes; 0 keeps none",
  },
  default_user_uid: {
    type: "string",
    default: null,
    env: ["DEFAULT_USER_UID"],
    check: (value) =>
      /^\d{1,10}(:\d{1,10})?$/.test(value) && value.split(":").every((id) => Number(id) <= MAX_OWNER_ID)
        ? undefined
        : `must be uid:gid, up to ${MAX_OWNER_ID}`,
    group: "Runs",
    help: "uid:gid of managed containers and of the files in their /app; the image's own user if unset",
  },
} as const satisfies Record<string, Setting>;
