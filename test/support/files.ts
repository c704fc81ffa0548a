import { createHash } from "node:crypto";
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Engine } from "./engine";
import { type Answer, type TestServer, TOKEN } from "./server";
import { dockerOf, type OneNode } from "./single-node";

/** Uploads an archive into a container, as the documented examples do. */
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

/** Downloads from a container: `endpoint` is such as `download` or `download-zip`. */
export async function download(
  node: { server: { url: string } },
  id: string,
  endpoint: string,
  path: string,
  options: { method?: string; headers?: Record<string, string> } = {},
): Promise<{ status: number; headers: Headers; bytes: Buffer }> {
  const response = await fetch(`${node.server.url}/containers/${id}/${endpoint}?path=${encodeURIComponent(path)}`, {
    method: options.method ?? "GET",
    headers: { Authorization: `Bearer ${TOKEN}`, ...options.headers },
  });
  return { status: response.status, headers: response.headers, bytes: Buffer.from(await response.arrayBuffer()) };
}

/** Creates a container that is never started, or that runs until it is removed. Returns its name. */
export async function container(node: Pick<OneNode, "docker">, name: string, running: boolean, ...flags: string[]): Promise<string> {
  await node.docker(running ? "run" : "create", ...(running ? ["--detach"] : []), "--name", name, ...flags, "busybox", "sleep", "100000");
  return name;
}

export const sha = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

/** Starts an upload that sends 10 kB every 20 ms until `stop()` or the end of the connection. */
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

/** The number of archive files that a server has open; it deletes them right after opening them. */
export function openArchiveCount({ process: { pid } }: TestServer): number {
  const fds = `/proc/${pid}/fd`;
  const targets = readdirSync(fds).map((fd) => {
    try {
      return readlinkSync(path.join(fds, fd));
    } catch {
      return ""; // closed in the meantime
    }
  });
  return targets.filter((target) => /docker-server-.*\(deleted\)/.test(target)).length;
}

/** Waits, without a request to the engine, until a file exists in a running container's file system. Throws an Error after 30 s. */
export async function waitUntilWritten(engine: Engine, container: string, file: string): Promise<void> {
  const pid = await dockerOf(engine, ["inspect", "--format", "{{.State.Pid}}", container]);
  const deadline = performance.now() + 30_000;
  while (!existsSync(path.join("/proc", pid, "root", file))) {
    if (performance.now() > deadline) throw new Error(`${file} does not come`);
    await nextTurn();
  }
}
