import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import express from "express";
import fc from "fast-check";
import { DiskBudget } from "../../../lib/archive/read-ahead";
import { openDocker } from "../../../lib/docker/docker-host";
import { DockerApi } from "../../../lib/docker-api/docker-api";
import { listenForDocker } from "../../../lib/docker-api/listen-for-docker";
import { matchRow } from "../../../lib/docker-api/row";
import { DOCKER_ROWS } from "../../../lib/docker-api/rows";
import { makeMessageClasses } from "../../../lib/http/as-express";
import type { RunningServer } from "../../../lib/server/listen";
import { malformedDockerRequest } from "../../support/unit/malformed-docker-requests";
import { quietLog } from "../../support/unit/quiet-log";

const folder = mkdtempSync(path.join(tmpdir(), "docker-malformed-"));
const engineSocket = path.join(folder, "engine.sock");
const poolSocket = path.join(folder, "pool.sock");
const { log } = quietLog();
const CONTAINER = "a".repeat(64);

/** What reached the engine. */
let received: { method: string; url: string; type: string | undefined; headers: string; body: string }[] = [];
let server: RunningServer;
let api: DockerApi;

/** An engine with one container, `web`, that does what it is asked. */
const engine = http.createServer(async (request, response) => {
  const { method = "", url = "", headers } = request;
  received.push({
    method,
    url,
    type: headers["content-type"],
    headers: JSON.stringify(headers),
    body: await text(request).catch(() => ""),
  });
  const answer = (status: number, json: unknown) => {
    response.writeHead(status, { "Content-Type": "application/json" });
    response.end(status === 204 || method === "HEAD" ? undefined : JSON.stringify(json));
  };
  const target = url.replace(/^\/v1\.\d+/, "").replace(/\?.*/, "");
  if (target === "/version") return answer(200, { ApiVersion: "1.51", MinAPIVersion: "1.24" });
  if (target === "/info") return answer(200, { ID: "e", Name: "e", DockerRootDir: "/var/lib/docker" });
  if (target === "/containers/json") return answer(200, [LISTED]);
  if (target === "/containers/create") return answer(201, { Id: "b".repeat(64), Warnings: [] });
  if (/^\/containers\/[^/]+\/json$/.test(target)) return answer(200, INSPECTED);
  if (/^\/exec\/[^/]+\/json$/.test(target)) return answer(200, { ID: "x", ContainerID: CONTAINER, ProcessConfig: {} });
  if (target === "/volumes" && method === "GET") return answer(200, { Volumes: [], Warnings: null });
  if (["/networks", "/images/json", "/images/search"].includes(target)) return answer(200, []);
  if (target.endsWith("/create")) return answer(201, { Id: "n", Name: "n" });
  if (method === "DELETE" && target.startsWith("/images/")) return answer(200, []);
  if (target.endsWith("/prune")) return answer(200, { SpaceReclaimed: 0 });
  return answer(method === "GET" ? 200 : 204, {});
});
const LISTED = { Id: CONTAINER, Names: ["/web"], Image: "busybox", Created: 1, State: "running", Labels: {}, Ports: [], Mounts: [] };
const INSPECTED = { Id: CONTAINER, Name: "/web", Config: { Labels: {} }, HostConfig: {}, Mounts: [], State: {}, NetworkSettings: {} };

beforeAll(async () => {
  engine.on("upgrade", ({ method = "", url = "", headers }, socket: net.Socket) => {
    received.push({ method, url, type: headers["content-type"], headers: JSON.stringify(headers), body: "" });
    socket.on("error", () => undefined);
    socket.end("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
  });
  await new Promise<void>((resolve) => engine.listen(engineSocket, resolve));
  const docker = await openDocker(
    {
      docker_host: `unix://${engineSocket}`,
      docker_context: null,
      docker_tls_verify: false,
      docker_cert_path: null,
      docker_config: null,
      ssh_auth_sock: null,
      cliVariables: {},
      docker_read_timeout: 10,
      docker_write_timeout: 10,
      allow: [],
      bind_roots: ["/srv"],
      sockets: [poolSocket],
    },
    "n",
    log,
  );
  const unlimited: express.RequestHandler = (_request, _response, next) => next();
  api = new DockerApi({
    docker,
    pool: undefined,
    nodeName: "n",
    poolId: "p",
    limits: { none: unlimited, low: unlimited, mid: unlimited, high: unlimited },
    bodyLimitBytes: 1_000_000,
    downloadDisk: new DiskBudget(1_000_000),
    dispatch: (request) => request.runHere(),
    rankNodes: async () => ["n"],
    deadlines: { untilStop: (signal) => signal },
  });
  const app = express();
  const deps = { api, app, messageClasses: makeMessageClasses(app), requestLogger: unlimited, authenticate: unlimited, log };
  const settings = {
    host: null,
    port: 0,
    https: false,
    https_cert: "",
    https_key: "",
    https_chain: "",
    header_timeout: 5,
    request_timeout: 5,
    stop_timeout: 0,
    docker_tls_ca: null,
    docker_socket_group: null,
  };
  [server] = (await listenForDocker([{ kind: "socket", path: poolSocket }], deps, settings, log)) as [RunningServer];
});

afterAll(async () => {
  api?.close();
  await server?.stop();
  engine.closeAllConnections();
  engine.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Sends bytes on a connection of their own. @returns all that is answered until the server closes it */
function exchange(bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = net.connect(poolSocket, () => socket.write(bytes, "latin1"));
    socket.setTimeout(20_000, () => socket.destroy(new Error(`no answer to ${JSON.stringify(bytes.slice(0, 2000))}`)));
    socket.on("data", (chunk) => {
      answer += chunk.toString("latin1");
    });
    socket.on("end", () => socket.destroy());
    socket.on("error", (error: NodeJS.ErrnoException) => error.code ?? reject(error)).on("close", () => resolve(answer));
  });
}

/** What of the requests that reached the engine the table of rows or the policy forbids. */
function escapes({ method, url, type, headers, body }: (typeof received)[number]): string | undefined {
  // The server's own questions.
  if (headers.includes('"host":"localhost"')) return method === "GET" ? undefined : "a change";
  const [, version, target = "", search = ""] = /^(?:\/v1\.(\d+))?(\/[^?]*)(?:\?(.*))?$/.exec(url) ?? [];
  if (version === undefined && target !== "/version") return "no version";
  if (Number(version) < 24) return "an old version";
  const segments = target.split("/").slice(1).map(decodeURIComponent);
  const row = matchRow(DOCKER_ROWS, method, segments)?.row;
  if (!row || row.where.at === "refused") return "no row";
  if (segments.some((segment) => ["", ".", ".."].includes(segment))) return "a relative path";
  const names = [...new URLSearchParams(search).keys()].filter((name) => !row.repeatable?.includes(name));
  if (new Set(names).size < names.length) return "a parameter twice";
  if (names.some((name) => !row.query.includes(name))) return "an unknown parameter";
  if (/(?:^|&)(?:remote|fromSrc|cgroupparent|securityopt)=[^&]/.test(search) || /networkmode=host/.test(search))
    return "a forbidden parameter";
  if (type !== undefined && !["application/json", "application/x-tar"].includes(type)) return "another content type";
  if (/x-escape|override|x-docker-server/i.test(headers)) return "a header of the client";
  if (row.body === "stream") return undefined;
  if (body !== "" && JSON.stringify(JSON.parse(body)) !== body) return "not our own serialisation";
  // The driver of a volume is a plugin that the owner of the engine has installed.
  const judged = row.path === "/volumes/create" ? body.replace('"Driver":"escape"', "") : body;
  if (/escape|"host"|SYS_ADMIN|"privileged":true/i.test(judged)) return "a forbidden body";
  return undefined;
}

test("malformed requests are answered in the engine's form, never 500, and nothing forbidden reaches the engine", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(malformedDockerRequest, { minLength: 20, maxLength: 20 }), async (requests) => {
      received = [];
      const answers = await Promise.all(requests.map(async (bytes) => ({ bytes, answer: await exchange(bytes) })));
      for (const { bytes, answer } of answers) {
        const status = Number(/^(?:HTTP\/1\.1 100 .*\r\n\r\n)?HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);
        if (!(status < 500 || [501, 503].includes(status))) throw new Error(`${answer.slice(0, 500)}\nto ${bytes.slice(0, 1000)}`);
      }
      for (const each of received) {
        const fault = escapes(each);
        if (fault !== undefined) throw new Error(`${fault}: ${JSON.stringify(each)}`);
      }
    }),
    { numRuns: 40 },
  );
  expect(await exchange("GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).toMatch(/^HTTP\/1\.1 200 OK[\s\S]*OK$/);
});
