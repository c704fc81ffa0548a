import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import type { Request, Response } from "express";
import { Access } from "../../../lib/access/access";
import { DockerApi, type DockerApiDeps } from "../../../lib/docker-api/docker-api";
import { RequestDeadlines } from "../../../lib/http/request-deadlines";

const folder = mkdtempSync(path.join(tmpdir(), "docker-api-"));
const [engineSocket, socketPath] = ["engine", "server"].map((name) => path.join(folder, name)) as [string, string];
let deadlines: RequestDeadlines;
/** The engine's answer under way: its head and its first bytes were sent. */
let answering: ServerResponse;
const engine = http.createServer((_request, response) => {
  answering = response;
  response.write("some");
});
const rawEngine = {
  versionRange: async () => ({ min: 24, max: 51 }),
  versionFor: async () => 51,
  connectOptions: () => ({ path: engineSocket }),
  watch: () => () => undefined,
  open: async ({ method, path }: { method: string; path: string }) => {
    const [response] = (await once(http.request({ socketPath: engineSocket, method, path }).end(), "response")) as [IncomingMessage];
    return response;
  },
};
const api = new DockerApi({
  docker: { rawEngine, containers: { invalidate: () => undefined } },
  pool: undefined,
  nodeName: "n",
  deadlines: { untilStop: (signal: AbortSignal) => deadlines.untilStop(signal) },
} as unknown as DockerApiDeps);
const server = http.createServer((request, response) => {
  const locals = { access: Access.full, identity: "somebody" };
  void api.handle(request as Request, Object.assign(response, { locals }) as unknown as Response, { limited: false });
});

beforeAll(async () => {
  await once(engine.listen(engineSocket), "listening");
  await once(server.listen(socketPath), "listening");
});

beforeEach(() => {
  deadlines = new RequestDeadlines();
});

afterAll(() => {
  api.close();
  for (const each of [engine, server]) {
    each.closeAllConnections();
    each.close();
  }
  rmSync(folder, { recursive: true });
});

async function open(method: string, target: string): Promise<IncomingMessage> {
  const [response] = (await once(http.request({ socketPath, method, path: target }).end(), "response")) as [IncomingMessage];
  return response;
}

test.each([
  ["GET", "/containers/web/logs?stdout=1&follow=1"],
  ["GET", "/containers/web/stats"],
  ["POST", "/containers/web/wait"],
  ["GET", "/events"],
])("%s %s ends with an error at a stop", async (method, target) => {
  const response = await open(method, target);
  deadlines.stopUnbounded();
  await expect(text(response)).rejects.toMatchObject({ code: "ECONNRESET" });
});

test.each(["/containers/web/logs?stdout=1", "/containers/web/logs?stdout=1&follow=0", "/containers/web/changes"])(
  "GET %s comes to its end at a stop",
  async (target) => {
    const response = await open("GET", target);
    deadlines.stopUnbounded();
    answering.end(" more");
    expect(await text(response)).toBe("some more");
  },
);
