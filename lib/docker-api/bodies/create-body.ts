import { requireAllowed } from "../../docker/create/policy";
import { isImageReference } from "../../docker/images/image-reference";
import { invalidField } from "../../errors";
import { type BodyContext, bodyReader, type Fields, nested, type ValueOf } from "./body-table";
import { CONFIG, IGNORED_CONFIG, NETWORKING } from "./container-config";
import { HOST_CONFIG } from "./host-config";
import { ownLabels } from "./labels";

const CREATE = {
  ...CONFIG,
  ...IGNORED_CONFIG,
  HostConfig: nested(HOST_CONFIG),
  NetworkingConfig: NETWORKING,
} satisfies Fields;
const readCreate = bodyReader(CREATE);

export type HostConfig = ValueOf<typeof HOST_CONFIG>;

/** The checked body of `POST /containers/create`. */
export type CreateBody = Omit<ValueOf<typeof CREATE>, "Image" | "Labels" | "HostConfig"> & {
  Image: string;
  Labels: Record<string, string>;
  HostConfig: HostConfig;
};

/**
 * Reads the body of `POST /containers/create`, and judges all that needs neither the file system nor the engine: `judgeCreate` does the rest
 * on the node that creates.
 * @throws AppError INVALID_BODY, INVALID_INPUT, NOT_ALLOWED, REFUSED_BY_TOKEN
 */
export function parseCreateBody(raw: Buffer | undefined, context: BodyContext): CreateBody {
  const body = readCreate(raw, context);
  const { access } = context;
  const policy = { ...context.policy, access };
  const { Image } = body;
  if (!Image) throw invalidField("Image", "is required");
  if (!access.allowsEveryImage) {
    if (!isImageReference(Image)) throw invalidField("Image", "must be an image reference");
    access.assertImage(Image);
  }
  for (const name of Object.keys(body.NetworkingConfig?.EndpointsConfig ?? {})) {
    if (name === "host") requireAllowed(policy, "host_namespaces", `NetworkingConfig.EndpointsConfig.${name}`);
  }
  const HostConfig = body.HostConfig ?? {};
  for (const [index, mount] of (HostConfig.Mounts ?? []).entries()) {
    const options = mount.VolumeOptions;
    if (mount.Type !== "volume" || !(options?.Labels || access.labels)) continue;
    mount.VolumeOptions = { ...options, Labels: ownLabels(options?.Labels, access, `HostConfig.Mounts.${index}.VolumeOptions.Labels`) };
  }
  return { ...body, Image, HostConfig, Labels: ownLabels(body.Labels, access, "Labels") };
}
