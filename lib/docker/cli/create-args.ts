import type { Healthcheck, RunSpec } from "../create/run-spec";

/** The CLI reads its env file line by line, 64 KiB at most. */
const LONGEST_LINE = 60_000;

/**
 * The arguments of `docker create` for a container. Every value stands behind the `=` of its flag or after `--`, so none can read as a flag.
 * The environment is not among them: see `envFile`.
 */
export function createArgs(spec: RunSpec): string[] {
  return [
    "create",
    ...one("name", spec.name),
    "--pull=never",
    ...one("env-file", envFile(spec.env).lines === "" ? undefined : "/dev/stdin"),
    ...on("rm", spec.remove),
    ...pairs("publish", spec.ports, publish),
    ...pairs("volume", spec.volumes, (source, target) => `${source}:${target}`),
    ...pairs("tmpfs", spec.tmpfs, (target, options) => (options === "" ? target : `${target}:${options}`)),
    ...pairs("label", spec.labels, (key, value) => `${key}=${value}`),
    ...pairs("ulimit", spec.ulimits, (key, value) => `${key}=${value}`),
    ...one("network", spec.network),
    // Docker refuses a container that both goes when it ends and is started again.
    ...one("restart", spec.remove ? undefined : spec.restart),
    ...one("memory", spec.memory),
    ...one("cpus", spec.cpus),
    ...one("pids-limit", spec.pids),
    ...one("user", spec.user),
    ...one("workdir", spec.workdir),
    ...one("hostname", spec.hostname),
    ...one("platform", spec.platform),
    ...on("init", spec.init),
    ...on("read-only", spec.read_only),
    ...spec.cap_add.flatMap((each) => one("cap-add", each)),
    ...spec.cap_drop.flatMap((each) => one("cap-drop", each)),
    ...(spec.healthcheck ? healthArgs(spec.healthcheck) : []),
    ...on("privileged", spec.privileged),
    ...spec.devices.flatMap((each) => one("device", each)),
    ...one("pid", spec.pid),
    ...one("ipc", spec.ipc),
    ...one("uts", spec.uts),
    ...one("userns", spec.userns),
    ...one("entrypoint", spec.entrypoint && (spec.entrypoint[0] ?? "")),
    "--",
    spec.image,
    ...(spec.entrypoint?.slice(1) ?? []),
    ...(spec.command ?? []),
  ];
}

function healthArgs(check: Healthcheck): string[] {
  if (check.disable) return ["--no-healthcheck"];
  return [
    ...one("health-cmd", check.cmd),
    ...one("health-interval", check.interval),
    ...one("health-timeout", check.timeout),
    ...one("health-start-period", check.start_period),
    ...one("health-retries", check.retries),
  ];
}

// Host port 0, or none, is any free one.
function publish(host: string, container: string): string {
  return host === "" || host === "0" ? container : `${host}:${container}`;
}

function one(flag: string, value: string | number | undefined): string[] {
  return value === undefined ? [] : [`--${flag}=${value}`];
}

function on(flag: string, value: boolean): string[] {
  return value ? [`--${flag}`] : [];
}

function pairs(flag: string, map: Record<string, string>, join: (key: string, value: string) => string): string[] {
  return Object.entries(map).flatMap(([key, value]) => one(flag, join(key, value)));
}

/**
 * The environment as `--env-file` takes it, which is no place for every value.
 * @returns lines: for standard input, so that no value shows among the arguments; rest: those that can't be written as one line
 */
export function envFile(env: Record<string, string>): { lines: string; rest: Record<string, string> } {
  const entries = Object.entries(env);
  const fits = ([name, value]: [string, string]) =>
    !/[\n\r]/.test(value) && Buffer.byteLength(name) + Buffer.byteLength(value) < LONGEST_LINE;
  const lines = entries.filter(fits).map(([name, value]) => `${name}=${value}\n`);
  return { lines: lines.join(""), rest: Object.fromEntries(entries.filter((entry) => !fits(entry))) };
}
