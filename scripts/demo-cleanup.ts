import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { hasEnded, killProcesses } from "./bed-cleanup";
import { removeContainers, removeImage } from "./demo-docker";

const FOLDER = /^docker-server-demo-(\d+)-\w{6}$/;

/** The file, in a demo's folder, that names its image. */
export const IMAGE_FILE = "image";

/** Makes a folder whose name tells which process it belongs to. */
export const newStageFolder = () => mkdtempSync(path.join(os.tmpdir(), `docker-server-demo-${process.pid}-`));

/** What the names of the containers begin with that belong to such a folder. */
export const prefixOf = (folder: string) => `${path.basename(folder).replace("docker-server-", "")}-`;

/** Removes what a demo that was killed has left: its server, containers, image and folder. An engine it has started goes on. */
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

/** Where everybody may write, a name alone says little. */
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
