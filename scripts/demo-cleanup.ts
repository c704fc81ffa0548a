import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { hasEnded, killProcesses } from "./bed-cleanup";
import { removeContainers, removeImage } from "./demo-docker";

const FOLDER = /^docker-server-demo-(\d+)-\w{6}$/;

/** The file, in a demo's folder, that names its image. */
export const IMAGE_FILE = "image";

/** Creates a folder whose name contains this process's id. */
export const newStageFolder = () => mkdtempSync(path.join(os.tmpdir(), `docker-server-demo-${process.pid}-`));

/** Name prefix of the containers that belong to such a folder. */
export const prefixOf = (folder: string) => `${path.basename(folder).replace("docker-server-", "")}-`;

/** Removes the server, containers, image and folder of a demo that was killed. An engine that it started keeps running. */
export async function removeLeftovers(): Promise<void> {
  for (const name of readdirSync(os.tmpdir())) {
    const owner = Number(FOLDER.exec(name)?.[1]);
    const folder = path.join(os.tmpdir(), name);
    if (Number.isNaN(owner) || !hasEnded(owner) || !isOurs(folder)) continue;
    killProcesses({ folder });
    await removeContainers(prefixOf(folder));
    const image = imageOf(folder);
    if (image) await removeImage(image);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Whether a folder is this user's: any user can create a folder of this name in the temporary folder. */
function isOurs(folder: string): boolean {
  const stat = lstatSync(folder, { throwIfNoEntry: false });
  return stat?.isDirectory() === true && stat.uid === process.getuid?.();
}

function imageOf(folder: string): string | undefined {
  try {
    return readFileSync(path.join(folder, IMAGE_FILE), "utf8");
  } catch {
    return undefined;
  }
}
