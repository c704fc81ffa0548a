import { runOrThrow } from "./process";

/** Removes all containers whose names begin with a prefix. */
export async function removeContainers(prefix: string): Promise<void> {
  const ids = await docker(["ps", "--all", "--quiet", "--filter", `name=^/?${prefix}`]);
  if (ids !== "") await docker(["rm", "--force", "--volumes", ...ids.split("\n")]);
}

/** Removes an image, if it exists. */
export async function removeImage(image: string): Promise<void> {
  const ids = await docker(["images", "--quiet", image]);
  if (ids !== "") await docker(["image", "rm", "--force", image]);
}

/** Runs the docker CLI in its own session, so that a second Ctrl-C doesn't interrupt the cleanup. */
async function docker(args: string[]): Promise<string> {
  return (await runOrThrow("setsid", ["--wait", "docker", ...args])).trim();
}
