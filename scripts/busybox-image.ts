import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { runOrThrow } from "./process";

const BUSYBOX = "/bin/busybox";

/**
 * Writes the only layer of an image of Debian's static busybox: every applet in /bin, root and nobody as users. The bytes
 * are reproducible; it takes 0.1 s. Throws an Error with the message of tar.
 */
export async function writeBusyboxLayer(file: string): Promise<void> {
  const work = mkdtempSync(path.join(path.dirname(file), "busybox-"));
  try {
    const root = path.join(work, "root");
    await fillRoot(root);
    const layer = path.join(work, "layer.tar");
    const reproducible = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"];
    await runOrThrow("tar", [...reproducible, "-C", root, "-cf", layer, "."]);
    renameSync(layer, file);
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
