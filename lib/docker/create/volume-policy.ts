import type { VolumeInspectInfo } from "dockerode";
import type { Engine } from "../engine";
import { checkVolumeOptions, type Policy } from "./policy";

/**
 * Finds volumes by their names, and refuses those that are folders or devices of the host which mounts may not reach.
 * @param field to be named in the error
 * @returns those that are there
 * @throws AppError NOT_ALLOWED
 */
export async function findAllowedVolumes(engine: Engine, policy: Policy, names: string[], field: string): Promise<VolumeInspectInfo[]> {
  if (names.length === 0) return [];
  // The engine's own filter also takes parts of names.
  const { Volumes } = await engine.call((docker, abortSignal) => docker.listVolumes({ filters: { name: names }, abortSignal }));
  const found = (Volumes ?? []).filter(({ Name }) => names.includes(Name));
  for (const { Driver, Options } of found) checkVolumeOptions(Driver, Options ?? {}, policy, () => field);
  return found;
}
