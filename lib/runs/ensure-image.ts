import type { RegistryAuth } from "../docker/engine";
import { withDefaultTag } from "../docker/images/image-reference";
import type { Images } from "../docker/images/images";
import { AppError } from "../errors";
import { settlesBefore } from "../support/settles-before";
import { loginFor } from "../docker/images/registry-login";

export interface ImageRequest {
  image: string;
  pull_policy: "always" | "missing" | "never";
  auth_config?: RegistryAuth | undefined;
}

/**
 * Makes sure that a run's image is here.
 * @param enough ends the wait; the pull goes on
 * @param warnings gets what was not as wished
 * @returns whether it is here; else it is still being pulled
 * @throws AppError IMAGE_NOT_FOUND, IMAGE_DENIED, REGISTRY_UNREACHABLE
 */
export async function ensureImage(images: Images, wish: ImageRequest, enough: AbortSignal, warnings: string[]): Promise<boolean> {
  const { image, pull_policy } = wish;
  const login = wish.auth_config && loginFor(image, wish.auth_config);
  if (login && "withheld" in login) warnings.push(login.withheld);
  const auth = login && !("withheld" in login) ? login : undefined;
  if (!(await images.needsPull(image, pull_policy))) return true;
  const pulling = auth ? images.pullWithLogin(image, auth) : images.pull(image);
  try {
    if (await settlesBefore(pulling, enough)) {
      await pulling;
      return true;
    }
  } catch (error) {
    const isAway = error instanceof AppError && error.code === "REGISTRY_UNREACHABLE";
    if (!isAway || !(await images.inspect(image))) throw error;
    warnings.push(`the registry can't be reached: this is ${withDefaultTag(image)} as it is on this host`);
    return true;
  }
  if (!(await images.inspect(image))) return false;
  warnings.push(`the registry is slow: this is ${withDefaultTag(image)} as it is on this host`);
  return true;
}
