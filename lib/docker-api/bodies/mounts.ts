import { z } from "zod";
import { type Policy, RUN_CONTAINER_PREFIX } from "../../docker/create/policy";
import { AppError, invalidField } from "../../errors";
import { checked, type Fields, harmless, struct, type ValueOf } from "./body-table";
import { flag, integer, matching, text, textMap, textSet } from "./values";

const VOLUME_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/;
const HOST_PATH = /^\/[^:\0]{0,4095}$/;
const CONTAINER_PATH = /^[^:\0]{1,4096}$/;
const BIND_OPTION =
  /^(?:ro|rw|z|Z|nocopy|r?(?:shared|slave|private)|consistent|cached|delegated|default|bind|rbind|ro-non-recursive|ro-force-recursive)$/;
/** Options of a tmpfs. The kernel would take `bind` and `remount` here too. */
const TMPFS_OPTION =
  /^(?:ro|rw|(?:no)?(?:suid|dev|exec|atime|diratime|relatime|strictatime|mand)|sync|async|dirsync|r?private|(?:no)?tmpcopyup|(?:mode|uid|gid|size|nr_inodes|nr_blocks|mpol)=[\w.:%,-]*)?$/;
/** Options of the volume driver `local`. Podman takes them in any spelling. */
const LOCAL_OPTIONS = ["type", "o", "device", "size"];

/** @throws AppError for names of runs, which no request may mount */
export function checkVolumeName(name: string, field: string): void {
  if (!VOLUME_NAME.test(name)) throw invalidField(field, "must be an absolute path or the name of a volume, of two characters or more");
  if (name.startsWith(RUN_CONTAINER_PREFIX)) {
    const message = `${field}: ${name} belongs to a run, which alone may mount it`;
    throw new AppError("NOT_ALLOWED", { message, details: { field } });
  }
}

/** @throws AppError REFUSED_BY_TOKEN if the token permits no driver or option of a volume */
export function checkDriver(driver: string, options: Record<string, string>, policy: Policy, field: string): void {
  const isLocal = driver === "" || driver === "local";
  const unknown = isLocal && Object.keys(options).find((name) => !LOCAL_OPTIONS.includes(name));
  if (typeof unknown === "string") throw invalidField(`${field}.${unknown}`, `must be one of ${LOCAL_OPTIONS.join(", ")}`);
  if (!isLocal || Object.keys(options).length > 0) policy.access?.assertDriverOptions(field);
}

export const binds = checked(z.array(text), (value, _policy, field) => {
  for (const bind of value) {
    const [source = "", target, options = ""] = bind.split(":");
    if (bind.split(":").length > 3) throw invalidField(field, "must be SOURCE:TARGET or SOURCE:TARGET:OPTIONS");
    if (target === undefined) {
      if (!CONTAINER_PATH.test(source) || !source.startsWith("/")) throw invalidField(field, "must be SOURCE:TARGET");
      continue;
    }
    if (!CONTAINER_PATH.test(target)) throw invalidField(field, "must have a path in the container");
    if (!HOST_PATH.test(source)) checkVolumeName(source, field);
    if (options !== "" && !options.split(",").every((each) => BIND_OPTION.test(each)))
      throw invalidField(field, `has options of a mount that are not known: ${options.slice(0, 100)}`);
  }
});

export const volumeDriver = checked(text, (value, policy, field) => checkDriver(value, {}, policy, field));

export const volumesFrom = harmless(z.array(matching(/^[a-zA-Z0-9][\w.-]*(?::[a-zA-Z,]+)?$/, "must be containers, NAME or NAME:ro")));

const tmpfsOptions = (options: readonly string[], field: string) => {
  const other = options.find((each) => !TMPFS_OPTION.test(each));
  if (other !== undefined) throw invalidField(field, `has an option of a tmpfs that is not known: ${other.slice(0, 100)}`);
};

export const tmpfsMap = checked(textMap, (value, _policy, field) => {
  for (const [path, options] of Object.entries(value)) {
    if (!CONTAINER_PATH.test(path)) throw invalidField(`${field}.${path}`, "must be a path in the container");
    tmpfsOptions(options.split(","), `${field}.${path}`);
  }
});

/** The volumes of an image, as a container's own: podman would take `SOURCE:TARGET` here. */
export const anonymousVolumes = checked(textSet, (value, _policy, field) => {
  for (const path of Object.keys(value)) {
    if (!CONTAINER_PATH.test(path)) throw invalidField(`${field}.${path}`, "must be a path in the container");
  }
});

const DRIVER = { Name: harmless(text), Options: harmless(textMap) } satisfies Fields;

const MOUNT = {
  Type: harmless(z.enum(["bind", "volume", "tmpfs", "image"], { error: "must be bind, volume, tmpfs or image" })),
  Source: harmless(text),
  Target: harmless(matching(CONTAINER_PATH, "must be a path in the container")),
  ReadOnly: harmless(flag),
  Consistency: harmless(text),
  BindOptions: harmless(
    struct({
      Propagation: harmless(matching(/^(?:r?(?:private|shared|slave))?$/, "must be the propagation of a mount")),
      NonRecursive: harmless(flag),
      CreateMountpoint: harmless(flag),
      ReadOnlyNonRecursive: harmless(flag),
      ReadOnlyForceRecursive: harmless(flag),
    }),
  ),
  VolumeOptions: harmless(
    struct({ NoCopy: harmless(flag), Labels: harmless(textMap), Subpath: harmless(text), DriverConfig: harmless(struct(DRIVER)) }),
  ),
  ImageOptions: harmless(struct({ Subpath: harmless(text) })),
  TmpfsOptions: harmless(struct({ SizeBytes: harmless(integer), Mode: harmless(integer), Options: harmless(z.array(z.array(text))) })),
  ClusterOptions: harmless(struct({})),
} satisfies Fields;

export type Mount = ValueOf<typeof MOUNT>;

export const mountList = checked(z.array(struct(MOUNT)), (value, policy, field) => {
  for (const [index, mount] of value.entries()) checkMount(mount, policy, `${field}.${index}`);
});

function checkMount({ Type, Source, VolumeOptions, TmpfsOptions }: Mount, policy: Policy, field: string): void {
  const source = Source ?? "";
  if (Type === "bind" && !source.startsWith("/")) throw invalidField(`${field}.Source`, "must be an absolute path");
  if (Type === "volume" && source !== "") checkVolumeName(source, `${field}.Source`);
  if (Type === "tmpfs" && source !== "") throw invalidField(`${field}.Source`, "must be empty for a tmpfs");
  if (Type === "image") policy.access?.assertImage(source);
  if (Type === undefined || Type === null) throw invalidField(`${field}.Type`, "is required");
  const { Name, Options } = VolumeOptions?.DriverConfig ?? {};
  checkDriver(Name ?? "", Options ?? {}, policy, `${field}.VolumeOptions.DriverConfig`);
  tmpfsOptions(
    (TmpfsOptions?.Options ?? []).map((each) => each.join("=")),
    `${field}.TmpfsOptions.Options`,
  );
}
