import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";

/** Whether a process has ended; one that its parent has not yet waited for counts as ended. */
export function hasEnded(pid: number): boolean {
  const status = read(`/proc/${pid}/status`);
  return status === "" || /^State:\s+[ZX]/m.test(status);
}

/** What tells the processes of one place of a bed. */
export interface Marks {
  /** In the command line (dockerd, containerd, shims), or as working folder. */
  folder: string;
  /** The network namespace's file. */
  netns?: string;
  /** The parent cgroup of the containers. */
  cgroup?: string;
}

/** Ids of the processes that bear one of these marks, this one aside. */
export function processesOf(marks: Marks): number[] {
  const namespace = marks.netns ? fileIdentity(marks.netns) : "";
  return processIds().filter((pid) => pid !== process.pid && bears(pid, marks, namespace));
}

/** A process's command line for a message; empty if it has ended. */
export const commandLine = (pid: number) => read(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim();

/** Ids of the docker CLIs and servers, this process aside, that have an engine's socket in their environment. */
export function clientsOf(dockerHost: string): number[] {
  return processIds().filter(
    (pid) => pid !== process.pid && read(`/proc/${pid}/environ`).split("\0").includes(`DOCKER_HOST=${dockerHost}`),
  );
}

/** Kills every process that bears one of these marks. Throws an Error if any is still there after 10 s. */
export function killProcesses(marks: Marks): void {
  const shimSockets = findShimSockets(marks.folder);
  const end = performance.now() + 10_000;
  for (;;) {
    const pids = processesOf(marks);
    if (pids.length === 0) break;
    if (performance.now() > end) throw new Error(`processes of ${marks.folder} survive SIGKILL: ${pids.join(" ")}`);
    for (const pid of pids) {
      killIfThere(pid);
      thaw(pid);
    }
    pause();
  }
  for (const socket of shimSockets) rmSync(socket, { force: true });
}

// What is in a paused container dies only when it is let go on.
function thaw(pid: number): void {
  try {
    const group = /^\d+:freezer:(\/.+)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8"))?.[1];
    if (group) writeFileSync(`/sys/fs/cgroup/freezer${group}/freezer.state`, "THAWED");
  } catch {
    // It has ended, or this machine's freezer is elsewhere: the caller's deadline tells.
  }
}

/** Unmounts everything at or below a folder. Throws an Error with what `umount` said. */
export function unmountBelow(folder: string): void {
  const mountPoints = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((mountPoint) => mountPoint === folder || mountPoint.startsWith(`${folder}/`))
    .reverse();
  if (mountPoints.length === 0) return;
  const { status, stderr } = spawnSync("umount", ["--lazy", ...mountPoints], { encoding: "utf8" });
  if (status !== 0) throw new Error(`umount: ${stderr.trim()}`);
}

/**
 * Removes a cgroup without processes, with all below it, from every cgroup hierarchy. Throws an Error if one is still busy after 10 s:
 * a process that was killed is in it until its parent has waited for it.
 */
export function removeCgroup(cgroup: string): void {
  const end = performance.now() + 10_000;
  for (const hierarchy of ["", ...readdirSync("/sys/fs/cgroup")]) {
    const folder = path.join("/sys/fs/cgroup", hierarchy, cgroup);
    while (existsSync(folder)) {
      try {
        removeFolders(folder);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EBUSY" || performance.now() > end) throw error;
        pause();
      }
    }
  }
}

/** Blocks for 10 ms. */
function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
}

function removeFolders(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeFolders(path.join(folder, entry.name));
  }
  rmdirSync(folder);
}

function processIds(): number[] {
  return readdirSync("/proc").map(Number).filter(Number.isInteger);
}

function bears(pid: number, { folder, cgroup }: Marks, namespace: string): boolean {
  if (hasEnded(pid)) return false;
  if (namespace !== "" && fileIdentity(`/proc/${pid}/ns/net`) === namespace) return true;
  if (cgroup && read(`/proc/${pid}/cgroup`).includes(`${cgroup}/`)) return true;
  return read(`/proc/${pid}/cmdline`).includes(`${folder}/`) || `${workingFolder(pid)}/`.startsWith(`${folder}/`);
}

/** containerd's shims listen on sockets outside of the host's folder, named in a file of each container. */
function findShimSockets(folder: string): string[] {
  const tasks = path.join(folder, "exec/containerd/daemon/io.containerd.runtime.v2.task/moby");
  if (!existsSync(tasks)) return [];
  return readdirSync(tasks)
    .map((id) => read(path.join(tasks, id, "address")).replace("unix://", ""))
    .filter((socket) => socket.startsWith("/"));
}

export function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** Device and inode of a file or namespace, the empty string if it is gone or hidden from us. */
function fileIdentity(file: string): string {
  try {
    const { dev, ino } = statSync(file, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return "";
  }
}

function workingFolder(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return "";
  }
}

/** A file's text, empty if it is gone: a process may end at any moment. */
function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
