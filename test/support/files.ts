import { createHash } from "node:crypto";
import type { OneNode } from "./one-node";
import { type Answer, TOKEN } from "./server";

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
