import type { ContainerInspectInfo } from "dockerode";
import type { RunSpec } from "./run-spec";

/** Podman lists the anonymous volumes of an image among the binds, where they would be volumes with a name. */
const ANONYMOUS_VOLUME = /^[0-9a-f]{64}$/;

type RecreateChanges = Pick<RunSpec, "name" | "volumes" | "env">;

/**
 * How to create a container again with more environment variables than the docker CLI could take.
 * @param created the engine's answer about the one that the docker CLI has made
 * @param changes.env the variables that are added
 * @returns options of the Engine API's create
 */
export function recreateOptions(created: ContainerInspectInfo, { name, volumes, env }: RecreateChanges) {
  const { Config, HostConfig, Platform } = created;
  const { Hostname, ...config } = Config;
  const addedEnv = Object.entries(env).map(([key, value]) => `${key}=${value}`);
  const isAskedFor = (source: string) => !ANONYMOUS_VOLUME.test(source) || source in volumes;
  const binds = HostConfig.Binds?.filter((bind) => isAskedFor(bind.split(":")[0] ?? ""));
  return {
    ...config,
    // The engine's default host name is the start of the id, and would be that of the removed container.
    ...(created.Id.startsWith(Hostname) ? {} : { Hostname }),
    name,
    Env: [...(Config.Env ?? []), ...addedEnv],
    HostConfig: binds ? { ...HostConfig, Binds: binds } : HostConfig,
    ...(Platform && Platform !== "linux" ? { platform: Platform } : {}),
  };
}
