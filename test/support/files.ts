import { createHash } from "node:crypto";
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Engine } from "./engine";
import { type Answer, type TestServer, TOKEN } from "./server";
import { dockerOf, type OneNode } from "./single-node";

/** Sends bytes to be unpacked in a container, as the documented examples do. */
export async function upload(
  node: { server: { url: string } },
  id: string,
  body: Buffer | ReadableStream | FormData,
  options: { query?: string; type?: string; signal?: AbortSignal } = {},
): Promise<Pick<Answer, "status" | "json">> {
  const type: Record<string, string> = body instanceof FormData ? {} : { "Content-Type": options.type ?? "application/zip" };
  const response = await fetch(`${node.server.url}/containers/${id}/upload-zip${options.query ?? ""}`, {
    method: "POST",
    headers: { Authorization: `Bearer ${TOKEN}`, ...type },
    body: body as never,
    ...(body instanceof ReadableStream ? { duplex: "half" } : {}),
    ...(options.signal ? { signal: options.signal } : {}),
  } as RequestInit);
  return { status: response.status, json: await response.json() };
}

/** Asks for bytes of a container. */
export async function download(
  node: { server: { url: string } },
  id: string,
  what: string,
  path: string,
  options: { method?: string; headers?: Record<string, string> } = {},
): Promise<{ status: number; headers: Headers; bytes: Buffer }> {
  const response = await fetch(`${node.server.url}/containers/${id}/${what}?path=${encodeURIComponent(path)}`, {
    method: options.method ?? "GET",
    headers: { Authorization: `Bearer ${TOKEN}`, ...options.headers },
  });
  return { status: response.status, headers: response.headers, bytes: Buffer.from(await response.arrayBuffer()) };
}

/** Makes a container that is never started, or runs till it is removed; its name. */
export async function container(node: Pick<OneNode, "docker">, name: string, running: boolean, ...flags: string[]): Promise<string> {
  await node.docker(running ? "run" : "create", ...(running ? ["--detach"] : []), "--name", name, ...flags, "busybox", "sleep", "100000");
  return name;
}

export const sha = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

/** Begins an upload and sends on until it is told to stop, or is cut. */
export function beginUpload(through: { server: { url: string } }, name: string) {
  const headers = { Authorization: `Bearer ${TOKEN}`, "Content-Type": "application/zip" };
  const request = http.request(`${through.server.url}/containers/${name}/upload-zip`, { method: "POST", headers, agent: false });
  const answer = new Promise<{ status: number; body: string }>((resolve, reject) => {
    request.on("error", reject).on("response", (response) => {
      const pieces: Buffer[] = [];
      response.on("data", (piece) => pieces.push(piece)).on("error", reject);
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(pieces).toString() }));
    });
  });
  answer.catch(() => undefined);
  const timer = setInterval(() => request.write(Buffer.alloc(10_000)), 20);
  const stop = () => clearInterval(timer);
  request.on("close", stop);
  return { request, answer, stop };
}

/** How many archives a server holds, which have no names. */
export function openArchiveCount({ process: { pid } }: TestServer): number {
  const fds = `/proc/${pid}/fd`;
  const targets = readdirSync(fds).map((fd) => {
    try {
      return readlinkSync(path.join(fds, fd));
    } catch {
      return ""; // closed meanwhile
    }
  });
  return targets.filter((target) => /docker-server-.*\(deleted\)/.test(target)).length;
}

/** Waits, without asking the engine, until it has begun to write a file of a container. */
export async function waitUntilWritten(engine: Engine, container: string, file: string): Promise<void> {
  const layer = await dockerOf(engine, ["inspect", "--format", "{{.GraphDriver.Data.UpperDir}}", container]);
  const end = performance.now() + 30_000;
  while (!existsSync(path.join(layer, file))) {
    if (performance.now() > end) throw new Error(`${file} does not come`);
    await nextTurn();
  }
}
