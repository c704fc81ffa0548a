import type { RegistryAuth } from "../docker/engine";
import { withDefaultTag } from "../docker/images/image-reference";
import type { Images } from "../docker/images/images";
import { resolveLogin } from "../docker/images/registry-login";
import { AppError } from "../errors";
import { settlesBefore } from "../support/settles-before";

export interface ImageRequest {
  image: string;
  pull_policy: "always" | "missing" | "never";
  auth_config?: RegistryAuth | undefined;
  platform?: string | undefined;
}

/**
 * Pulls a run's image if its pull policy requires it.
 * @param waitSignal ends the wait, not the pull
 * @returns whether the image is present; if not, it is still being pulled. Warnings for the client
 * @throws AppError IMAGE_NOT_FOUND, IMAGE_DENIED, REGISTRY_UNREACHABLE
 */
export async function ensureImage(
  images: Images,
  { image, pull_policy, auth_config, platform }: ImageRequest,
  waitSignal: AbortSignal,
): Promise<{ isPresent: boolean; warnings: string[] }> {
  const { auth, warnings } = resolveLogin(image, auth_config);
  const localImage = () => `this is ${withDefaultTag(image)} as it is on this host`;
  if (!(await images.needsPull(image, pull_policy, platform))) return { isPresent: true, warnings };
  const pulling = auth ? images.pullWithLogin(image, auth, platform) : images.pull(image, platform);
  try {
    if (await settlesBefore(pulling, waitSignal)) {
      await pulling;
      return { isPresent: true, warnings };
    }
  } catch (error) {
    const isUnreachable = error instanceof AppError && error.code === "REGISTRY_UNREACHABLE";
    if (!isUnreachable || !(await images.inspect(image, platform))) throw error;
    return { isPresent: true, warnings: [...warnings, `the registry can't be reached: ${localImage()}`] };
  }
  if (!(await images.inspect(image, platform))) return { isPresent: false, warnings };
  return { isPresent: true, warnings: [...warnings, `the registry is slow: ${localImage()}`] };
}
