import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { runOrThrow } from "../../scripts/process";
import { BED } from "./bed";
import type { Engine } from "./engine";

const BUSYBOX = "/bin/busybox";
const CACHED_LAYER = path.join(BED, "busybox.tar");

/**
 * Gives an engine an image of Debian's static busybox: every applet in /bin, root and nobody as users, CMD sh.
 * The layer is the same on every engine; it is made once (0.1 s) and kept as long as the test bed.
 * Returns the image id; throws an Error with what tar or docker said.
 */
export async function importBusybox(engine: Engine, tag = "busybox:latest"): Promise<string> {
  if (!existsSync(CACHED_LAYER)) await makeLayer();
  const imported = await engine.docker(["import", "-c", 'CMD ["sh"]', "-", tag], readFileSync(CACHED_LAYER));
  if (imported.code !== 0) throw new Error(`docker import: ${imported.stderr}`);
  return imported.stdout.trim();
}

async function makeLayer(): Promise<void> {
  const work = mkdtempSync(path.join(BED, "busybox-"));
  try {
    const root = path.join(work, "root");
    await fillRoot(root);
    const layer = path.join(work, "layer.tar");
    const sameEveryTime = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"];
    await runOrThrow("tar", [...sameEveryTime, "-C", root, "-cf", layer, "."]);
    renameSync(layer, CACHED_LAYER);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function fillRoot(root: string): Promise<void> {
  for (const folder of ["bin", "etc", "root", "tmp", "usr/bin", "var/log"]) {
    mkdirSync(path.join(root, folder), { recursive: true, mode: 0o755 });
  }
  chmodSync(root, 0o755);
  chmodSync(path.join(root, "tmp"), 0o1777);
  copyFileSync(BUSYBOX, path.join(root, "bin/busybox"));
  for (const applet of (await runOrThrow(BUSYBOX, ["--list"])).trim().split("\n")) {
    if (applet !== "busybox") symlinkSync("busybox", path.join(root, "bin", applet));
  }
  symlinkSync("../../bin/busybox", path.join(root, "usr/bin/env"));
  const nobody = "65534:65534";
  writeFileSync(path.join(root, "etc/passwd"), `root:x:0:0::/root:/bin/sh\nnobody:x:${nobody}::/:/bin/false\n`);
  writeFileSync(path.join(root, "etc/group"), "root:x:0:\nnogroup:x:65534:\n");
}
