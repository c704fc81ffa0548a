import { Readable } from "node:stream";
import { pack } from "tar-stream";
import type { Engine } from "../docker/engine";
import { APP_FOLDER } from "./compose-document";

const FOLDER_MODE = 0o755;

/**
 * Gives a container's own folder to its user, who could else write nothing there.
 * @param user uid:gid
 */
export async function chownAppFolder(engine: Engine, id: string, user: string): Promise<void> {
  const [uid, gid] = user.split(":").map(Number);
  const tar = pack();
  tar.entry({ name: `${APP_FOLDER.slice(1)}/`, type: "directory", mode: FOLDER_MODE, uid: uid ?? 0, gid: gid ?? 0 });
  tar.finalize();
  const body = Readable.from(tar);
  await engine.send(body, (docker, abortSignal) => docker.getContainer(id).putArchive(body, { path: "/", abortSignal }), "call");
}
