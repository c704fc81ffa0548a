import type { Access } from "../../access/access";
import { checkVolumeOptions, type HostAccess } from "../../docker/create/policy";
import type { PolicyGuard } from "../../docker/create/policy-guard";
import type { CreateBody } from "./create-body";

/**
 * Judges what a container would get of this host, its containers and its volumes: to be called on the node that creates it, after
 * `parseCreateBody`.
 * @throws AppError NOT_ALLOWED, REFUSED_BY_TOKEN, ENGINE_UNREACHABLE
 */
export async function judgeCreate(body: CreateBody, guard: PolicyGuard, access: Access): Promise<void> {
  await guard.checkSpec(hostAccessOf(body), access);
  const policy = await guard.current(access);
  for (const [index, { Type, VolumeOptions }] of (body.HostConfig.Mounts ?? []).entries()) {
    const { Name, Options } = (Type === "volume" && VolumeOptions?.DriverConfig) || {};
    const field = `HostConfig.Mounts.${index}.VolumeOptions.DriverConfig.Options`;
    checkVolumeOptions(Name || "local", Options ?? {}, policy, (option) => `${field}.${option}`);
  }
}

/** What the policy judges of a body, in the words of all surfaces. */
export function hostAccessOf({ HostConfig }: CreateBody): HostAccess {
  const { Privileged, Devices, CapAdd, NetworkMode, PidMode, IpcMode, UTSMode, UsernsMode, Binds, Mounts, VolumesFrom } = HostConfig;
  const binds = (Binds ?? []).filter((bind) => bind.includes(":")).map((bind) => [bind.split(":")[0] ?? "", bind] as const);
  const mounts = (Mounts ?? []).flatMap(({ Type, Source, Target }) =>
    (Type === "bind" || Type === "volume") && Source ? [[Source, Target ?? ""] as const] : [],
  );
  return {
    privileged: Privileged ?? false,
    devices: (Devices ?? []).map(({ PathOnHost }) => PathOnHost ?? ""),
    cap_add: CapAdd ?? [],
    volumes: Object.fromEntries([...binds, ...mounts]),
    volumesFrom: (VolumesFrom ?? []).map((source) => source.replace(/:.*$/, "")),
    network: NetworkMode || undefined,
    pid: PidMode || undefined,
    ipc: IpcMode || undefined,
    uts: UTSMode || undefined,
    userns: UsernsMode || undefined,
  };
}
