import { runOrThrow } from "./process";

/** Removes all containers whose names begin so. */
export async function removeContainers(prefix: string): Promise<void> {
  const ids = await docker(["ps", "--all", "--quiet", "--filter", `name=^/?${prefix}`]);
  if (ids !== "") await docker(["rm", "--force", "--volumes", ...ids.split("\n")]);
}

/** Removes an image, if it is there. */
export async function removeImage(image: string): Promise<void> {
  const ids = await docker(["images", "--quiet", image]);
  if (ids !== "") await docker(["image", "rm", "--force", image]);
}

/** The docker CLI, in a session of its own: a second Ctrl-C must not cut the tidying up short. */
async function docker(args: string[]): Promise<string> {
  return (await runOrThrow("setsid", ["--wait", "docker", ...args])).trim();
}
