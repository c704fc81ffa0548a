import type { VolumeInspectInfo } from "dockerode";
import type { Engine } from "../engine";
import { checkVolumeOptions, type Policy } from "./policy";

/**
 * Finds volumes by name and refuses those whose options reach forbidden folders or devices of the host.
 * @param field name for the error
 * @returns the volumes that exist
 * @throws AppError NOT_ALLOWED
 */
export async function findAllowedVolumes(engine: Engine, policy: Policy, names: string[], field: string): Promise<VolumeInspectInfo[]> {
  if (names.length === 0) return [];
  // The engine's filter also matches parts of names.
  const { Volumes } = await engine.call((docker, abortSignal) => docker.listVolumes({ filters: { name: names }, abortSignal }));
  const found = (Volumes ?? []).filter(({ Name }) => names.includes(Name));
  for (const { Driver, Options } of found) checkVolumeOptions(Driver, Options ?? {}, policy, () => field);
  return found;
}
