// Exits with 0 if the docker-server of this container answers /health with 200. Which port and whether HTTPS may stand in
// flags, in the environment or in a file: so it asks the kernel where the server listens.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import http from "node:http";
import https from "node:https";

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

/** Where a listener answers. The kernel writes addresses as 32-bit words of hexadecimal digits in the machine's byte order. */
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
    return []; // it has ended, or is another user's
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

/** The certificate bears the name that clients use, not this address: it isn't verified here. */
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
