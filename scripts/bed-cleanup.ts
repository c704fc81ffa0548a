import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";

/** Whether a process has ended; a zombie counts as ended. */
export function hasEnded(pid: number): boolean {
  const status = read(`/proc/${pid}/status`);
  return status === "" || /^State:\s+[ZX]/m.test(status);
}

/** Marks that identify the processes of one place of a bed; a process needs only one of them. */
export interface ProcessMarks {
  /** The place's folder: part of the command line (dockerd, containerd, shims), or the working folder. */
  folder: string;
  /** The network namespace's file. */
  netns?: string;
  /** The parent cgroup of the containers. */
  cgroup?: string;
}

/** Ids of the processes with one of these marks, except this process. */
export function processesOf(marks: ProcessMarks): number[] {
  const namespace = marks.netns ? fileIdentity(marks.netns) : "";
  return processIds().filter((pid) => pid !== process.pid && hasMark(pid, marks, namespace));
}

/** A process's command line for a message; empty if it has ended. */
export const commandLine = (pid: number) => read(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim();

/** Ids of the docker CLIs and servers with an engine's socket in their environment, except this process. */
export function clientsOf(dockerHost: string): number[] {
  return processIds().filter(
    (pid) => pid !== process.pid && read(`/proc/${pid}/environ`).split("\0").includes(`DOCKER_HOST=${dockerHost}`),
  );
}

/** Kills every process with one of these marks. Throws an Error if any is still running after 10 s. */
export function killProcesses(marks: ProcessMarks): void {
  const shimSockets = findShimSockets(marks.folder);
  const deadline = performance.now() + 10_000;
  for (;;) {
    const pids = processesOf(marks);
    if (pids.length === 0) break;
    if (performance.now() > deadline) throw new Error(`processes of ${marks.folder} survive SIGKILL: ${pids.join(" ")}`);
    for (const pid of pids) {
      killIfThere(pid);
      thaw(pid);
    }
    pause();
  }
  for (const socket of shimSockets) rmSync(socket, { force: true });
}

// A frozen process (paused container) handles SIGKILL only after it is thawed.
function thaw(pid: number): void {
  try {
    const group = /^\d+:freezer:(\/.+)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8"))?.[1];
    if (group) writeFileSync(`/sys/fs/cgroup/freezer${group}/freezer.state`, "THAWED");
  } catch {
    // The process has ended, or the freezer is mounted elsewhere: the caller's deadline reports a survivor.
  }
}

/** Unmounts everything at or below a folder. Throws an Error with the message of `umount`. */
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
 * Removes a cgroup without processes, and its children, from every cgroup hierarchy. Throws an Error if one is still busy after 10 s:
 * a killed process stays in its cgroup until its parent has reaped it.
 */
export function removeCgroup(cgroup: string): void {
  const deadline = performance.now() + 10_000;
  for (const hierarchy of ["", ...readdirSync("/sys/fs/cgroup")]) {
    const folder = path.join("/sys/fs/cgroup", hierarchy, cgroup);
    while (existsSync(folder)) {
      try {
        removeFolders(folder);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EBUSY" || performance.now() > deadline) throw error;
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

function hasMark(pid: number, { folder, cgroup }: ProcessMarks, namespace: string): boolean {
  if (hasEnded(pid)) return false;
  if (namespace !== "" && fileIdentity(`/proc/${pid}/ns/net`) === namespace) return true;
  if (cgroup && read(`/proc/${pid}/cgroup`).includes(`${cgroup}/`)) return true;
  return read(`/proc/${pid}/cmdline`).includes(`${folder}/`) || `${workingFolder(pid)}/`.startsWith(`${folder}/`);
}

/** Sockets of containerd's shims: they lie outside the host's folder, and a file of each container names one. */
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

/** Device and inode of a file or namespace; empty if it doesn't exist or isn't readable. */
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

/** A file's text; empty if it doesn't exist, because a process may end at any moment. */
function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
