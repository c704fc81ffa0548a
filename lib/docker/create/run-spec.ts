export interface Healthcheck {
  /** run by the shell of the container */
  cmd?: string | undefined;
  /** durations as Docker writes them, such as 30s */
  interval?: string | undefined;
  timeout?: string | undefined;
  start_period?: string | undefined;
  retries?: number | undefined;
  /** disables the health check of the image */
  disable?: boolean | undefined;
}

/** Options of a container to create; the syntax of all values is validated. Absent values take Docker's defaults. */
export interface RunSpec {
  name: string;
  image: string;
  command?: string[] | undefined;
  entrypoint?: string[] | undefined;
  remove: boolean;
  env: Record<string, string>;
  labels: Record<string, string>;
  /** host port, or address:port, and container port, or port/protocol; the host port is "" or 0 for any free one */
  ports: (readonly [host: string, container: string])[];
  /** host path or volume name to container path, or path:options */
  volumes: Record<string, string>;
  /** container path to mount options, which may be empty */
  tmpfs: Record<string, string>;
  network?: string | undefined;
  restart?: string | undefined;
  /** such as 512m, or bytes */
  memory?: string | undefined;
  cpus?: number | undefined;
  pids?: number | undefined;
  user?: string | undefined;
  workdir?: string | undefined;
  hostname?: string | undefined;
  platform?: string | undefined;
  pull: "missing" | "always" | "never";
  init: boolean;
  /** seconds between the signal to stop and the kill */
  stop_timeout?: number | undefined;
  read_only: boolean;
  cap_add: string[];
  cap_drop: string[];
  /** such as nofile to 1024:2048 */
  ulimits: Record<string, string>;
  healthcheck?: Healthcheck | undefined;
  privileged: boolean;
  devices: string[];
  pid?: string | undefined;
  ipc?: string | undefined;
  uts?: string | undefined;
  userns?: string | undefined;
}
