import { spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

/** A folder of a file server, which every host has mounted at a place of its own. */
export interface MountedFolder {
  /** What the host's node is given as its store: a folder on the mount. */
  of(host: string): string;
  /** Files of records that a host sees. */
  records(host: string): string[];
  /** What a lost connection can leave: the empty mount point, a folder of the host's own disk. */
  unmount(host: string): void;
  mount(host: string): void;
  /** For all hosts, or for none. */
  readOnly(on: boolean): void;
  /** Removes the store; a file that stands in its way lets nobody make it again. */
  remove(options: { blocked: boolean }): void;
  unblock(): void;
  /** From now on whoever touches the mount waits, as for a file server that has gone. The test must not touch it either. */
  hang(host: string): void;
  /** The same for so many files in the store, while the rest of it answers. */
  hangFiles(host: string, count: number): void;
  /** Ends every hang: who waits gets an error, and the folder is as before. */
  answer(): void;
  stop(): void;
}

/**
 * Mounts one for each host; needs root on Linux.
 * @param below a folder that unmounts what is left below it when it goes, such as an engine's
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

  // A FUSE file system whose server never answers, not even to the mount itself.
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
