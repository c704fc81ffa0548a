import { spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

/** A shared folder that every host has mounted at its own path, as from a file server. */
export interface MountedFolder {
  /** The store's folder for the host's node, on its mount. */
  of(host: string): string;
  /** Names of the record files that a host sees. */
  records(host: string): string[];
  /** Leaves the empty mount point, a folder of the host's own disk, as after a lost connection. */
  unmount(host: string): void;
  mount(host: string): void;
  /** Makes the mounts of all hosts read-only, or writable again. */
  readOnly(on: boolean): void;
  /** Removes the store's folder. If `blocked`, a file takes its path, so that no node can create it again. */
  remove(options: { blocked: boolean }): void;
  unblock(): void;
  /** Every access to the mount blocks from now on, as with a file server that is down. The test must not access it either. */
  hang(host: string): void;
  /** The same for `count` new files in the store; the other files stay readable. */
  hangFiles(host: string, count: number): void;
  /** Ends every hang: blocked accesses fail, and the folder is as before. */
  answer(): void;
  stop(): void;
}

/**
 * Creates the shared folder and mounts it for each host; needs root on Linux.
 * @param below a folder whose removal unmounts everything below it, such as an engine's
 */
export function mountedFolder(below: string, hosts: string[]): MountedFolder {
  const share = path.join(below, "share");
  const at = (host: string) => path.join(below, `mount-${host}`);
  const store = path.join(share, "nodes");
  const stuck: { mounted: string; device: number }[] = [];
  for (const folder of [share, ...hosts.map(at)]) mkdirSync(folder);
  command("mount", ["-t", "tmpfs", "-o", "size=1m", "share", share]);
  const mount = (host: string) => command("mount", ["--bind", share, at(host)]);
  hosts.forEach(mount);

  // Mounts a FUSE file system whose server never answers, not even to its initialization.
  const hangAt = (mounted: string, rootmode: string) => {
    const device = openSync("/dev/fuse", "r+");
    stuck.push({ mounted, device });
    const options = `fd=3,rootmode=${rootmode},user_id=0,group_id=0`;
    command("mount", ["-i", "-t", "fuse", "-o", options, "silent", mounted], device);
  };
  const answer = () => {
    for (const { mounted, device } of stuck.splice(0).reverse()) {
      command("umount", ["--force", "--lazy", mounted]);
      closeSync(device);
    }
  };

  return {
    of: (host) => path.join(at(host), "nodes"),
    records: (host) => readdirSync(path.join(at(host), "nodes")).filter((name) => name.endsWith(".node.json")),
    unmount: (host) => command("umount", ["--lazy", at(host)]),
    mount,
    readOnly: (on) => {
      for (const host of hosts) command("mount", ["-o", `remount,bind,${on ? "ro" : "rw"}`, at(host)]);
    },
    remove({ blocked }) {
      rmSync(store, { recursive: true });
      if (blocked) writeFileSync(store, "");
    },
    unblock: () => rmSync(store),
    hang: (host) => hangAt(at(host), "40000"),
    hangFiles(host, count) {
      for (let each = 0; each < count; each += 1) {
        const file = path.join(at(host), "nodes", `silent-${host}-${each}.node.json`);
        writeFileSync(file, "");
        hangAt(file, "100000");
      }
    },
    answer,
    stop() {
      answer();
      for (const folder of [...hosts.map(at), share]) spawnSync("umount", ["--lazy", folder]);
    },
  };
}

function command(name: string, args: string[], device?: number): void {
  const stdio: ("pipe" | "ignore" | number)[] = ["ignore", "pipe", "pipe", ...(device === undefined ? [] : [device])];
  const { status, stderr, error } = spawnSync(name, args, { encoding: "utf8", stdio });
  if (error) throw error;
  if (status !== 0) throw new Error(`${name} ${args.join(" ")}: ${stderr.trim()}`);
}
