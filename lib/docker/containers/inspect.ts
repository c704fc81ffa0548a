import type { Engine } from "../engine";

/** The fields of a container that are not in the list. */
export interface ContainerDetails {
  command: string[];
  /** ISO 8601 */
  started: string | null;
  finished: string | null;
  /** null while it runs and before its first start, unless that failed */
  exit_code: number | null;
  /** the engine's reason for a failed start; null if it did not fail */
  error: string | null;
  /** whether it ended because it, or a process in it, was out of memory */
  oom_killed: boolean;
  restart_count: number;
  /** starting, healthy or unhealthy; null without a health check */
  health: string | null;
  /** the end of what the last health check wrote, or why it could not run; null without one */
  health_output: string | null;
  env: Record<string, string>;
  mounts: { type: string; source: string; target: string; read_only: boolean }[];
  /** network name to IP address: IPv4, or IPv6 on a network without IPv4 */
  networks: Record<string, string>;
  restart_policy: string;
  auto_remove: boolean;
}

/** The engine's time for "never". */
const ZERO_TIME = "0001-01-01T00:00:00Z";

/**
 * Inspects a container.
 * @param id full id
 * @throws AppError CONTAINER_NOT_FOUND
 */
export async function inspectContainer(engine: Engine, id: string): Promise<ContainerDetails> {
  const info = await engine.call((docker) => docker.getContainer(id).inspect());
  const { State, Config, HostConfig } = info;
  const { Name = "no", MaximumRetryCount: times = 0 } = HostConfig.RestartPolicy ?? {};
  const pairs = (Config.Env ?? []).map((line) => [line.split("=")[0] ?? "", line.slice(line.indexOf("=") + 1)]);
  const timeOrNull = (time: string) => (time === ZERO_TIME ? null : time);
  return {
    // Podman repeats Path in Args until the first start.
    command: [Config.Entrypoint ?? [], Config.Cmd ?? []].flat(),
    started: timeOrNull(State.StartedAt),
    finished: timeOrNull(State.FinishedAt),
    // Podman reports 0 for a failed start.
    exit_code: State.Running || (State.Status === "created" && State.ExitCode === 0) ? null : State.ExitCode,
    error: State.Error || null,
    oom_killed: State.OOMKilled ?? false,
    restart_count: info.RestartCount,
    health: State.Health?.Status ?? null,
    health_output: State.Health?.Log?.at(-1)?.Output ?? null,
    env: Object.fromEntries(pairs) as Record<string, string>,
    mounts: info.Mounts.map(({ Type, Name: volume, Source, Destination, RW }) => {
      return { type: Type ?? "bind", source: volume ?? Source, target: Destination, read_only: !RW };
    }),
    networks: Object.fromEntries(
      Object.entries(info.NetworkSettings.Networks ?? {}).map(([name, { IPAddress, GlobalIPv6Address }]) => [
        name,
        IPAddress || GlobalIPv6Address,
      ]),
    ),
    restart_policy: times > 0 ? `${Name}:${times}` : Name || "no",
    auto_remove: HostConfig.AutoRemove ?? false,
  };
}

/**
 * Lists the processes of a running container in the format of `ps`.
 * @throws AppError NOT_RUNNING
 */
export async function listProcesses(engine: Engine, id: string): Promise<{ titles: string[]; processes: string[][] }> {
  const { Titles, Processes } = (await engine.call((docker) => docker.getContainer(id).top())) as {
    Titles: string[];
    Processes: string[][] | null;
  };
  return { titles: Titles, processes: Processes ?? [] };
}
