import type { RequestListener, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type Docker from "dockerode";
import { Access } from "../../../lib/access/access";
import { DiskBudget } from "../../../lib/archive/read-ahead";
import { CliCheck } from "../../../lib/docker/cli/cli-check";
import { exec } from "../../../lib/docker/containers/exec";
import { ContainerLogs, type LogQuery } from "../../../lib/docker/containers/logs";
import { RawEngine } from "../../../lib/docker/raw-engine";
import { openFile } from "../../../lib/files/download";
import { listFolder } from "../../../lib/files/listing";
import type { RunDeps } from "../../../lib/runs/attached-container";
import { Jobs } from "../../../lib/runs/jobs/job";
import { getContent } from "../../../lib/runs/volumes/volume-io";
import { EngineServers } from "../../support/unit/engine-servers";
import { quietLog } from "../../support/unit/quiet-log";
import { programFiles, sourceOf } from "../../support/unit/sources";

const LONG = 600_000;
const VERY_SHORT = 50;
const IN_TIME = { code: "ENGINE_TIMEOUT" };

const engines = new EngineServers();
afterEach(() => engines.stop());
/** Below, and beside the other tests of streams that are sent. */
const ELSEWHERE = ["createContainer", "createVolume", "container.putArchive"];
const silent = (take: RequestListener = () => undefined) => engines.start(take, { read: VERY_SHORT, write: LONG });

describe("an engine that answers pings and nothing else", () => {
  const container = (docker: Docker) => docker.getContainer("a");
  /** Every method of dockerode that this program calls, but for those of `ELSEWHERE`. */
  const CALLS: [string, (docker: Docker) => Promise<unknown>][] = [
    ["info", (docker) => docker.info()],
    ["version", (docker) => docker.version()],
    ["listContainers", (docker) => docker.listContainers({ all: true })],
    ["listImages", (docker) => docker.listImages()],
    ["listNetworks", (docker) => docker.listNetworks()],
    ["listVolumes", (docker) => docker.listVolumes()],
    ["importImage", (docker) => docker.importImage(Buffer.alloc(1024) as never, { repo: "a", tag: "1" })],
    ["image.inspect", (docker) => docker.getImage("a").inspect()],
    ["image.remove", (docker) => docker.getImage("a").remove()],
    ["volume.inspect", (docker) => docker.getVolume("a").inspect()],
    ["volume.remove", (docker) => docker.getVolume("a").remove()],
    ["container.inspect", (docker) => container(docker).inspect()],
    ["container.start", (docker) => container(docker).start()],
    ["container.stop", (docker) => container(docker).stop({ t: 1 })],
    ["container.restart", (docker) => container(docker).restart()],
    ["container.pause", (docker) => container(docker).pause()],
    ["container.unpause", (docker) => container(docker).unpause()],
    ["container.rename", (docker) => container(docker).rename({ name: "b" })],
    ["container.kill", (docker) => container(docker).kill()],
    ["container.remove", (docker) => container(docker).remove()],
    ["container.stats", (docker) => container(docker).stats({ stream: false })],
    ["container.top", (docker) => container(docker).top()],
    ["container.exec", (docker) => container(docker).exec({ Cmd: ["true"] })],
    ["container.infoArchive", (docker) => container(docker).infoArchive({ path: "/" })],
    ["exec.inspect", (docker) => docker.getExec("a").inspect()],
    ["exec.resize", (docker) => docker.getExec("a").resize({ h: 1, w: 1 })],
  ];

  test("every method of dockerode that the program calls is among these", () => {
    const named = new Set([...CALLS.map(([name]) => name), ...ELSEWHERE]);
    const called = programFiles().flatMap((file) => {
      const text = sourceOf(file);
      const direct = [...text.matchAll(/\(docker\) =>\s+(?:\{[^}]*?)?docker\.(\w+)\(|\(api\) => api\.(\w+)\(/g)].map(
        ([, a, b]) => a ?? b ?? "",
      );
      const ofObject = [...text.matchAll(/docker\.get(\w+)\((?:[^()]|\([^()]*\))*\)\s*\.(\w+)\(/g)].map(
        ([, kind = "", method]) => `${kind.toLowerCase()}.${method}`,
      );
      const changes = [...text.matchAll(/\(container\) => container\.(\w+)\(/g)].map(([, method]) => `container.${method}`);
      return [...direct.filter((name) => !name.startsWith("get")), ...ofObject, ...changes];
    });
    expect(called.length).toBeGreaterThan(60);
    expect([...new Set(called)].filter((name) => !named.has(name))).toEqual([]);
  });

  test.each(CALLS)("%s fails at its deadline, and its connection is closed", async (_, call) => {
    let open = 0;
    const { engine } = await silent((request) => {
      open += 1;
      request.socket.once("close", () => {
        open -= 1;
      });
    });
    await expect(engine.call(call)).rejects.toMatchObject(IN_TIME);
    while (open > 0) await sleep(5);
  });

  test("creating, streams and upgraded connections fail at their deadline", async () => {
    const { engine } = await silent();
    await expect(engine.createContainer({ name: "a", Image: "b" }, "start", () => undefined)).rejects.toMatchObject(IN_TIME);
    await expect(engine.createVolume({ Name: "a" }, "start")).rejects.toMatchObject(IN_TIME);
    await expect(engine.stream("GET", "/containers/a/logs")).rejects.toMatchObject(IN_TIME);
    await expect(engine.hijack("/containers/a/attach")).rejects.toMatchObject(IN_TIME);
    const spec = { command: ["true"], tty: false, env: {} };
    await expect(exec(engine, "a", spec, 1000, AbortSignal.timeout(LONG))).rejects.toMatchObject(IN_TIME);
  });

  test("what the Docker API reads fails at its deadline, and its connection is closed", async () => {
    let open = 0;
    const { engine, endpoint } = await silent((request) => {
      open += 1;
      request.socket.once("close", () => {
        open -= 1;
      });
    });
    const raw = new RawEngine(endpoint, engine);
    await expect(raw.send({ method: "GET", path: "/v1.41/containers/json" })).rejects.toMatchObject(IN_TIME);
    await expect(raw.versionFor(undefined)).rejects.toMatchObject(IN_TIME);
    while (open > 0) await sleep(5);
  });

  test("the check of a docker CLI that waits for it fails at its deadline", async () => {
    const { engine } = await silent();
    await expect(new CliCheck(engine, () => new Promise(() => undefined), quietLog().log).refresh()).rejects.toMatchObject(IN_TIME);
  });

  test("a job whose end it doesn't tell after the kill fails at its deadline", async () => {
    const answers: Record<string, (response: ServerResponse) => void> = {
      create: (response) => void response.writeHead(201, { "Content-Type": "application/json" }).end('{"Id":"a"}'),
      // The output goes on, and the end is never told.
      attach: (response) => response.flushHeaders(),
      wait: (response) => response.flushHeaders(),
      start: (response) => void response.writeHead(204).end(),
      kill: (response) => void response.writeHead(204).end(),
    };
    const { engine } = await silent(({ url = "" }, response) => answers[/\/containers\/(?:a\/)?(\w+)/.exec(url)?.[1] ?? ""]?.(response));
    let removed = false;
    const deps = {
      engine,
      containers: { invalidate: () => undefined },
      quotas: {
        open: () => ({ confirm: async () => undefined, close: () => undefined }),
        whileRemoving: (_id: string, removal: Promise<void>) => removal,
      },
      reaper: {
        nameAndLabels: async () => ({ name: "job", Labels: {} }),
        createContainer: (options: object) => engine.createContainer(options, "start", () => undefined),
        removeContainer: async () => {
          removed = true;
        },
      },
    } as unknown as RunDeps;
    const spec = { container: { Image: "busybox" }, access: Access.full, timeoutMs: VERY_SHORT, maxOutputBytes: 1000 };
    const job = await new Jobs(deps).start(spec as never, new AbortController().signal);
    await expect(job.finish()).rejects.toMatchObject(IN_TIME);
    expect(removed).toBe(true);
  });
});

describe("an engine that falls silent in the middle of an answer", () => {
  const ALL: LogQuery = { timestamps: false, follow: false };
  const signal = new AbortController().signal;
  const FRAME = Buffer.from([1, 0, 0, 0, 0, 0, 0, 2, 0x68, 0x69]);
  const STAT = Buffer.from(JSON.stringify({ name: "d", size: 0, mode: 0x80_00_01_ed, mtime: "2026-01-01T00:00:00Z" })).toString("base64");

  /** What the engine sends of a log or an archive; `later` is called once all of it is on the way. */
  const sending = (begun: Buffer, later: (response: ServerResponse) => void = () => undefined) =>
    silent(({ url = "", method }, response) => {
      if (method === "HEAD") return response.writeHead(200, { "X-Docker-Container-Path-Stat": STAT }).end();
      if (url.endsWith("/json")) return response.end('{"Config":{"Tty":false}}');
      response.write(begun, () => later(response));
    });

  const read = async (stream: AsyncIterable<Buffer>) => {
    const parts: Buffer[] = [];
    for await (const part of stream) parts.push(part);
    return Buffer.concat(parts);
  };

  test("breaks off a log", async () => {
    const logs = new ContainerLogs((await sending(FRAME)).engine);
    await expect(logs.readTail("a", ALL, 1000, signal)).rejects.toMatchObject(IN_TIME);
    await expect(read(await logs.streamBytes("a", ALL, signal))).rejects.toMatchObject(IN_TIME);
  });

  test("breaks off a listing, a download and the files of a run", async () => {
    const { engine } = await sending(Buffer.alloc(10));
    await expect(listFolder(engine, "a", "/d", signal)).rejects.toMatchObject(IN_TIME);
    await expect(openFile(engine, "a", "/d", new DiskBudget(1000))).rejects.toMatchObject(IN_TIME);
    await expect(getContent(engine, "a", "/d", 1000)).rejects.toMatchObject(IN_TIME);
  });

  test("doesn't break off a followed log, which may be silent", async () => {
    const { engine } = await sending(FRAME, (response) => void setTimeout(() => response.end(FRAME), 5 * VERY_SHORT));
    expect(String(await read(await new ContainerLogs(engine).streamBytes("a", { ...ALL, follow: true }, signal)))).toBe("hihi");
  });

  test("doesn't break off what its reader has not read yet", async () => {
    const many = Buffer.concat(Array(100_000).fill(FRAME));
    const { engine } = await sending(many, (response) => void response.end());
    const bytes = await new ContainerLogs(engine).streamBytes("a", ALL, signal);
    await sleep(5 * VERY_SHORT);
    expect(await read(bytes)).toHaveLength(200_000);
  });
});
