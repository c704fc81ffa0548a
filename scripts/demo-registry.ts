import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { writeBusyboxLayer } from "./busybox-image";

const MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";

export interface DemoRegistry {
  /** Reference to pull, for instance 127.0.0.1:34567/busybox:demo. */
  image: string;
  stop(): Promise<void>;
}

/**
 * Starts a pull-only registry with one image of Debian's static busybox, so that the demo can pull on a machine without
 * internet access. Docker accepts a registry on 127.0.0.1 without TLS.
 * @param layerFile path to which the image's layer is written
 */
export async function startDemoRegistry(layerFile: string): Promise<DemoRegistry> {
  await writeBusyboxLayer(layerFile);
  const content = imageContent(readFileSync(layerFile));
  const server = http.createServer((request, response) => {
    const [, kind, reference] = /^\/v2\/busybox\/(manifests|blobs)\/(.+)$/.exec(request.url ?? "") ?? [];
    const found = kind === undefined ? undefined : content.get(reference as string);
    if (request.url === "/v2/") return void response.end("{}");
    if (!found) return void response.writeHead(404).end('{"errors":[{"code":"NOT_FOUND"}]}');
    const type = kind === "manifests" ? MANIFEST : "application/octet-stream";
    response.writeHead(200, { "Content-Type": type, "Content-Length": found.length, "Docker-Content-Digest": digest(found) });
    response.end(request.method === "HEAD" ? undefined : found);
  });
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  return {
    image: `127.0.0.1:${(server.address() as AddressInfo).port}/busybox:demo`,
    stop: () => new Promise((resolve) => server.close(() => resolve()).closeAllConnections()),
  };
}

/** Layer, config and manifest of the image by digest, and the manifest by tag too. */
function imageContent(layer: Buffer): Map<string, Buffer> {
  const config = json({
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    config: { Cmd: ["sh"], Env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"] },
    rootfs: { type: "layers", diff_ids: [digest(layer)] },
  });
  const manifest = json({
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: { mediaType: "application/vnd.docker.container.image.v1+json", size: config.length, digest: digest(config) },
    layers: [{ mediaType: "application/vnd.docker.image.rootfs.diff.tar", size: layer.length, digest: digest(layer) }],
  });
  return new Map([...[layer, config, manifest].map((each) => [digest(each), each] as const), ["demo", manifest]]);
}

const json = (value: object) => Buffer.from(JSON.stringify(value));
const digest = (bytes: Buffer) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
