// Health check of the container image: exits with 0 if the docker-server in this container answers /health with 200. The port and
// the scheme may come from flags, the environment or a file, so the kernel's socket table tells where the server listens.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import http from "node:http";
import https from "node:https";

/** State LISTEN in /proc/net/tcp. */
const TCP_LISTEN = "0A";
const TIMEOUT_MS = 4000;

interface Listener {
  host: string;
  port: number;
  inode: string;
}

function readListeners(file: string): Listener[] {
  const rows = readText(file).trim().split("\n").slice(1);
  return rows.flatMap((row) => {
    const [, local = "", , state, , , , , , inode = ""] = row.trim().split(/\s+/);
    const [address = "", port = ""] = local.split(":");
    if (state !== TCP_LISTEN) return [];
    return toHosts(address).map((host) => ({ host, port: Number.parseInt(port, 16), inode }));
  });
}

/** Addresses at which a listener can be reached. The kernel writes addresses as 32-bit hexadecimal words in the machine's byte order. */
function toHosts(hex: string): string[] {
  if (/^0+$/.test(hex)) return hex.length === 8 ? ["127.0.0.1"] : ["127.0.0.1", "::1"];
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) => [...Buffer.from(word, "hex").reverse()]);
  return [bytes.length === 4 ? bytes.join(".") : (Buffer.from(bytes).toString("hex").match(/.{4}/g) ?? []).join(":")];
}

function serverSocketInodes(): Set<string> {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && readText(`/proc/${name}/comm`).trim() === "docker-server");
  return new Set(pids.flatMap((pid) => socketInodes(`/proc/${pid}/fd`)));
}

function socketInodes(folder: string): string[] {
  try {
    return readdirSync(folder).flatMap((fd) => /^socket:\[(\d+)\]$/.exec(readlinkSync(`${folder}/${fd}`))?.[1] ?? []);
  } catch {
    return []; // the process has ended, or belongs to another user
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

/** Whether /health is answered with 200. The certificate names the clients' host name, not this address, so it is not verified. */
function isHealthy(client: typeof http | typeof https, { host, port }: Listener): Promise<boolean> {
  return new Promise((resolve) => {
    const request = client.get({ host, port, path: "/health", timeout: TIMEOUT_MS, rejectUnauthorized: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(false));
  });
}

async function main(): Promise<void> {
  const own = serverSocketInodes();
  const found = [...readListeners("/proc/net/tcp"), ...readListeners("/proc/net/tcp6")].filter(({ inode }) => own.has(inode));
  const outcomes = await Promise.all(found.flatMap((listener) => [isHealthy(http, listener), isHealthy(https, listener)]));
  process.exit(outcomes.includes(true) ? 0 : 1);
}

void main();
