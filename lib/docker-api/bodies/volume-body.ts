import { checkVolumeOptions } from "../../docker/create/policy";
import { type BodyContext, bodyReader, dropped, type Fields, harmless, type ValueOf } from "./body-table";
import { ownLabels } from "./labels";
import { checkDriver, checkVolumeName } from "./mounts";
import { text, textMap } from "./values";

/** Every field of a volume to create; dockerode sends them in the query too. */
export const VOLUME = {
  Name: harmless(text),
  Driver: harmless(text),
  DriverOpts: harmless(textMap),
  Labels: harmless(textMap),
  // Whoever copies a volume sends what inspect says; engines ignore it.
  Mountpoint: dropped(text),
} satisfies Fields;
const readVolume = bodyReader(VOLUME);

export type VolumeCreateBody = ValueOf<typeof VOLUME>;

/**
 * Reads the body of `POST /volumes/create`. Volumes of a Swarm are not known. Folders of the host in the options are judged by
 * `judgeVolumeCreate`.
 * @throws AppError INVALID_BODY, INVALID_INPUT, NOT_ALLOWED, REFUSED_BY_TOKEN
 */
export function parseVolumeCreateBody(raw: Buffer | undefined, context: BodyContext): VolumeCreateBody {
  const body = readVolume(raw, context);
  if (body.Name) checkVolumeName(body.Name, "Name");
  checkDriver(body.Driver ?? "", body.DriverOpts ?? {}, { ...context.policy, access: context.access }, "DriverOpts");
  return { ...body, Labels: ownLabels(body.Labels, context.access, "Labels") };
}

/**
 * Judges the folders and devices of this host that a volume would be: to be called on the node that creates it.
 * @throws AppError NOT_ALLOWED, REFUSED_BY_TOKEN
 */
export function judgeVolumeCreate(body: VolumeCreateBody, { policy, access }: BodyContext): void {
  checkVolumeOptions(body.Driver || "local", body.DriverOpts ?? {}, { ...policy, access }, (option) => `DriverOpts.${option}`);
}
