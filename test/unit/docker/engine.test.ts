import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import http, { type RequestListener } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { Engine } from "../../../lib/docker/engine";

const folder = mkdtempSync(path.join(tmpdir(), "docker-server-engine-"));
let engine: http.Server | undefined;
afterEach(() => engine?.close().closeAllConnections());
afterAll(() => rmSync(folder, { recursive: true }));

/** Sends 20 MB to a fake engine that answers pings and handles the request with `take`. */
async function send(take: RequestListener, times: { read: number; write: number }): Promise<unknown> {
  const socket = path.join(folder, randomUUID());
  engine = http.createServer((request, response) => (request.url?.startsWith("/_ping") ? response.end("OK") : take(request, response)));
  await once(engine.listen(socket), "listening");
  const client = new Engine({ url: `unix://${socket}`, env: {}, socket, options: { socketPath: socket } }, times.read, times.write);
  const body = Readable.from(Array.from({ length: 200 }, () => Buffer.alloc(100_000)));
  const sent = client.send(body, (docker, abortSignal) => docker.getContainer("a").putArchive(body, { path: "/", abortSignal }), "start");
  await sent.catch(() => undefined);
  expect(body.destroyed).toBe(true);
  return sent;
}

const SHORT = 400;
const LONG = 600_000;
const UNREACHABLE = { code: "ENGINE_UNREACHABLE" };

test("a request body that the engine does not accept fails after the write timeout", async () => {
  await expect(send(() => undefined, { read: LONG, write: SHORT })).rejects.toMatchObject(UNREACHABLE);
});

test("a missing response to a complete request body fails after the read timeout", async () => {
  await expect(send((request) => void request.resume(), { read: SHORT, write: LONG })).rejects.toMatchObject(UNREACHABLE);
});

test("the read timeout does not run while the engine accepts the request body", async () => {
  const slowly: RequestListener = async (request, response) => {
    await sleep(3 * SHORT);
    request.resume().once("end", () => response.end());
  };
  await send(slowly, { read: SHORT, write: LONG });
});
