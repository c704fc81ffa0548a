import type { Healthcheck, RunSpec } from "../create/run-spec";

/** The CLI reads lines of at most 64 KiB from an env file. */
const MAX_ENV_LINE_BYTES = 60_000;

/**
 * The arguments of `docker create`. Every value stands behind the `=` of its flag or after `--`, so none can be read as a flag.
 * The environment is passed by `envFile`.
 */
export function createArgs(spec: RunSpec): string[] {
  return [
    "create",
    ...option("name", spec.name),
    "--pull=never",
    ...option("env-file", envFile(spec.env).lines === "" ? undefined : "/dev/stdin"),
    ...flag("rm", spec.remove),
    ...spec.ports.flatMap(([host, container]) => option("publish", portMapping(host, container))),
    ...mapOptions("volume", spec.volumes, (source, target) => `${source}:${target}`),
    ...mapOptions("tmpfs", spec.tmpfs, (target, options) => (options === "" ? target : `${target}:${options}`)),
    ...mapOptions("label", spec.labels, (key, value) => `${key}=${value}`),
    ...mapOptions("ulimit", spec.ulimits, (key, value) => `${key}=${value}`),
    ...option("network", spec.network),
    // Docker refuses --rm together with a restart policy.
    ...option("restart", spec.remove ? undefined : spec.restart),
    ...option("memory", spec.memory),
    ...option("cpus", spec.cpus),
    ...option("pids-limit", spec.pids),
    ...option("user", spec.user),
    ...option("workdir", spec.workdir),
    ...option("hostname", spec.hostname),
    ...option("platform", spec.platform),
    ...flag("init", spec.init),
    ...option("stop-timeout", spec.stop_timeout),
    ...flag("read-only", spec.read_only),
    ...spec.cap_add.flatMap((each) => option("cap-add", each)),
    ...spec.cap_drop.flatMap((each) => option("cap-drop", each)),
    ...(spec.healthcheck ? healthArgs(spec.healthcheck) : []),
    ...flag("privileged", spec.privileged),
    ...spec.devices.flatMap((each) => option("device", each)),
    ...option("pid", spec.pid),
    ...option("ipc", spec.ipc),
    ...option("uts", spec.uts),
    ...option("userns", spec.userns),
    ...option("entrypoint", spec.entrypoint && (spec.entrypoint[0] ?? "")),
    "--",
    spec.image,
    ...(spec.entrypoint?.slice(1) ?? []),
    ...(spec.command ?? []),
  ];
}

function healthArgs(check: Healthcheck): string[] {
  if (check.disable) return ["--no-healthcheck"];
  return [
    ...option("health-cmd", check.cmd),
    ...option("health-interval", check.interval),
    ...option("health-timeout", check.timeout),
    ...option("health-start-period", check.start_period),
    ...option("health-retries", check.retries),
  ];
}

// Host port 0, or none, lets Docker choose a free port.
function portMapping(host: string, container: string): string {
  return host === "" || host === "0" ? container : `${host}:${container}`;
}

function option(flag: string, value: string | number | undefined): string[] {
  return value === undefined ? [] : [`--${flag}=${value}`];
}

function flag(flag: string, value: boolean): string[] {
  return value ? [`--${flag}`] : [];
}

function mapOptions(flag: string, map: Record<string, string>, join: (key: string, value: string) => string): string[] {
  return Object.entries(map).flatMap(([key, value]) => option(flag, join(key, value)));
}

/**
 * Splits the environment into the variables that `--env-file` can hold and the rest.
 * @returns lines: the file, given on standard input so that no value is visible in the process list; rest: values of several lines, or
 * too long for one
 */
export function envFile(env: Record<string, string>): { lines: string; rest: Record<string, string> } {
  const entries = Object.entries(env);
  const fits = ([name, value]: [string, string]) =>
    !/[\n\r]/.test(value) && Buffer.byteLength(name) + Buffer.byteLength(value) < MAX_ENV_LINE_BYTES;
  const lines = entries.filter(fits).map(([name, value]) => `${name}=${value}\n`);
  return { lines: lines.join(""), rest: Object.fromEntries(entries.filter((entry) => !fits(entry))) };
}
