import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { writeBusyboxLayer } from "../../scripts/busybox-image";
import { BED } from "./bed";
import type { Engine } from "./engine";
import { withBedLock } from "./lock";

const CACHED_LAYER = path.join(BED, "busybox.tar");

/**
 * Gives an engine an image of Debian's static busybox: every applet in /bin, root and nobody as users, CMD sh.
 * The layer is the same on every engine; it is made once (0.1 s) and kept as long as the test bed.
 * Returns the image id; throws an Error with what tar or docker said.
 */
export async function importBusybox(engine: Engine, tag = "busybox:latest"): Promise<string> {
  // Under the lock, for it is no place of anybody's: whoever sweeps the bed meanwhile would take it for a leftover.
  await withBedLock(async () => {
    if (!existsSync(CACHED_LAYER)) await writeBusyboxLayer(CACHED_LAYER);
  });
  const imported = await engine.docker(["import", "-c", 'CMD ["sh"]', "-", tag], readFileSync(CACHED_LAYER));
  if (imported.code !== 0) throw new Error(`docker import: ${imported.stderr}`);
  return imported.stdout.trim();
}
