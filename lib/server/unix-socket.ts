import { chmodSync, chownSync, existsSync, lstatSync, readFileSync, rmSync } from "node:fs";
import net from "node:net";
import { dirname } from "node:path";
import { SettingsError } from "../support/settings-error";

/** Nobody but the owner and the group may connect. */
const SOCKET_UMASK = 0o117;
const SOCKET_MODE = 0o660;

/**
 * Listens at a path, which only the owner and the group may use.
 * @param group its name or number; that of the process if null
 * @throws Error if another program listens there, if its folder is missing, if something else than a socket is there, or if the group doesn't exist
 */
export async function listenAtPath(server: net.Server, path: string, group: string | null): Promise<void> {
  const gid = group === null ? undefined : groupId(group);
  const state = await socketState(path);
  if (state === "in use") throw new Error(`${path} is in use by another program`);
  if (state === "stale") rmSync(path);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    const before = process.umask(SOCKET_UMASK);
    try {
      // The file is made in this call.
      server.listen({ path }, resolve);
    } finally {
      process.umask(before);
    }
  });
  chmodSync(path, SOCKET_MODE);
  if (gid !== undefined) chownSync(path, process.getuid?.() ?? 0, gid);
}

/**
 * What is at a path where a socket is to be.
 * @returns "stale" for a socket that nobody listens at any more
 * @throws Error if its folder is missing, or if something else than a socket is there
 */
export async function socketState(path: string): Promise<"free" | "stale" | "in use"> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found && !found.isSocket()) throw new Error(`${path} exists and is no socket`);
  if (found) return (await isAnswered(path)) ? "in use" : "stale";
  // The system calls a folder that is not there one that may not be written.
  const folder = dirname(path);
  if (!existsSync(folder)) throw new Error(`${path} can't be made: there is no folder ${folder}`);
  return "free";
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code !== "ECONNREFUSED" && error.code !== "ENOENT"));
  });
}

/**
 * @param group its name or number
 * @throws SettingsError if there is no such group
 */
export function groupId(group: string): number {
  if (/^\d+$/.test(group)) return Number(group);
  const line = readFileSync("/etc/group", "utf8")
    .split("\n")
    .find((each) => each.startsWith(`${group}:`));
  const gid = Number(line?.split(":")[2] ?? Number.NaN);
  if (Number.isNaN(gid)) throw new SettingsError(`--docker_socket_group names no group of this machine: ${group}`);
  return gid;
}
