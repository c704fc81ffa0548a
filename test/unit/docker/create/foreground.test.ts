import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import http, { type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { Access } from "../../../../lib/access/access";
import { Confinement } from "../../../../lib/docker/containers/confinement";
import { ContainerList } from "../../../../lib/docker/containers/container-list";
import { awaitForeground, openForeground } from "../../../../lib/docker/create/foreground";
import { NameClaims } from "../../../../lib/docker/create/name-claims";
import { PolicyGuard } from "../../../../lib/docker/create/policy-guard";
import { Quotas } from "../../../../lib/docker/create/quotas";
import { Runner, type RunOptions } from "../../../../lib/docker/create/runner";
import { Engine } from "../../../../lib/docker/engine";
import { Images } from "../../../../lib/docker/images/images";
import { quietLog } from "../../../support/unit/quiet-log";
import { PLAIN_RUN_SPEC } from "../../../support/unit/run-spec";

const folder = mkdtempSync(path.join(tmpdir(), "docker-server-foreground-"));
afterAll(() => rmSync(folder, { recursive: true }));

const ID = "a".repeat(64);
/** Far more than any grace: reached only by a run whose end is not noticed. */
const RUN_WAIT_MS = 15_000;

/** What the engine does at the requests that decide about the end. Left out: the response has headers and never ends. */
interface FakeEngine {
  output?: (response: ServerResponse) => void;
  exit?: (response: ServerResponse) => void;
  removal?: (response: ServerResponse) => void;
  /** State of the container; null: it is gone. */
  state?: { Running: boolean; ExitCode: number } | null;
  /** exit codes of past "die" events */
  events?: number[];
  /** States of the container in the next lists, then "exited". */
  listings?: string[];
}

const listed = (State: string) => [{ Id: ID, Names: ["/box"], Created: 0, State }];

let server: http.Server | undefined;
afterEach(() => {
  server?.close().closeAllConnections();
});

async function startEngine({ output, exit, removal, state, events = [], listings = [] }: FakeEngine): Promise<Engine> {
  const socket = path.join(folder, randomUUID());
  server = http.createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "", "http://engine");
    const open = (respond?: (response: ServerResponse) => void) => {
      response.flushHeaders();
      respond?.(response);
    };
    if (pathname.endsWith("/attach")) open(output);
    else if (pathname.endsWith("/wait")) open(searchParams.get("condition") === "removed" ? removal : exit);
    else if (pathname.endsWith("/events")) {
      open(() => {
        for (const exitCode of events) response.write(`${JSON.stringify({ Actor: { Attributes: { exitCode: String(exitCode) } } })}\n`);
      });
    } else if (pathname.endsWith("/start")) response.writeHead(204).end();
    else if (pathname.endsWith(`/containers/${ID}/json`)) {
      response.statusCode = state ? 200 : 404;
      response.end(JSON.stringify(state ? { State: state } : { message: `No such container: ${ID}` }));
    } else if (pathname === "/containers/json") response.end(JSON.stringify(listed(listings.shift() ?? "exited")));
    else if (pathname.includes("/images/")) response.end(JSON.stringify({ Id: "sha256:0", Config: {} }));
    else response.end("OK");
  });
  await once(server.listen(socket), "listening");
  return new Engine({ url: `unix://${socket}`, env: {}, socket, options: { socketPath: socket } }, 5000, 5000);
}

async function run(fake: FakeEngine, { remove = false, waitMs = RUN_WAIT_MS } = {}) {
  const engine = await startEngine(fake);
  const cli = async () => `${ID}\n`;
  const { log } = quietLog();
  const policy = { allow: [], bindRoots: [], sockets: [] };
  const list = new ContainerList(engine, "n1", log);
  const confinement = new Confinement(engine, list);
  const guard = new PolicyGuard(engine, policy);
  // The engine lists its one container whatever the filter.
  const names = new NameClaims({ assertFree: async () => undefined, findMatches: list.findMatches });
  const quotas = new Quotas("n1", list, confinement, undefined as never);
  const runner = new Runner(engine, cli, new Images(engine, cli), list, confinement, guard, names, quotas, log);
  const options: RunOptions = {
    access: Access.full,
    detach: false,
    outputLimit: 1000,
    waitSignal: AbortSignal.timeout(waitMs),
    onStarted: () => undefined,
  };
  const begun = performance.now();
  const result = await runner.run({ ...PLAIN_RUN_SPEC, name: "box", remove }, options);
  const stdout = "stdout" in result ? result.stdout.bytes().toString() : undefined;
  return { status: result.status, exit_code: "exit_code" in result ? result.exit_code : undefined, stdout, ms: performance.now() - begun };
}

function frame(text: string): Buffer {
  const header = Buffer.from([1, 0, 0, 0, 0, 0, 0, text.length]);
  return Buffer.concat([header, Buffer.from(text)]);
}

const reportExit = (code: number) => (response: ServerResponse) => void response.end(JSON.stringify({ StatusCode: code }));

describe("the end of a foreground run", () => {
  test("is the end of the output and the reported exit", async () => {
    const result = await run({ output: (response) => void response.end(frame("hello")), exit: reportExit(7) });
    expect(result).toMatchObject({ status: "exited", exit_code: 7, stdout: "hello" });
    expect(result.ms).toBeLessThan(900);
  });

  test("is the reported exit if the output never ends", async () => {
    const result = await run({ output: (response) => void response.write(frame("hello")), exit: reportExit(7) });
    expect(result).toMatchObject({ status: "exited", exit_code: 7, stdout: "hello" });
    expect(result.ms).toBeLessThan(RUN_WAIT_MS / 2);
  });

  test("includes output that comes after the reported exit, for as long as it keeps coming", async () => {
    const parts = ["a", "b", "c", "d", "e", "f"];
    const result = await run({
      output: (response) => {
        const timer = setInterval(() => {
          const part = parts.shift();
          if (part) response.write(frame(part));
          else clearInterval(timer);
        }, 300);
      },
      exit: reportExit(0),
    });
    expect(result).toMatchObject({ status: "exited", exit_code: 0, stdout: "abcdef" });
    expect(result.ms).toBeLessThan(RUN_WAIT_MS / 2);
  });

  test.each([
    ["has exited", { state: { Running: false, ExitCode: 3 } }],
    ["is gone, with the exit code of its last event", { state: null, events: [3] }],
  ])("is noticed without a reported exit if the output has ended and the container %s", async (_case, fake) => {
    const result = await run({ output: (response) => void response.end(frame("hello")), ...fake }, { remove: true });
    expect(result).toMatchObject({ status: "exited", exit_code: 3, stdout: "hello" });
    expect(result.ms).toBeLessThan(RUN_WAIT_MS);
  });

  test("does not wait longer than the grace for a removal that the engine never reports", async () => {
    const engine = await startEngine({ output: (response) => void response.end(), exit: reportExit(0) });
    const streams = await openForeground(engine, ID, true);
    const options = { outputLimit: 1000, waitSignal: AbortSignal.timeout(RUN_WAIT_MS) };
    const begun = performance.now();
    expect(await awaitForeground(engine, ID, streams, options, 200)).toMatchObject({ exit_code: 0 });
    expect(performance.now() - begun).toBeGreaterThan(190);
    expect(performance.now() - begun).toBeLessThan(RUN_WAIT_MS / 2);
  });

  test("waits for a removal that the engine reports", async () => {
    const removal = (response: ServerResponse) => void setTimeout(() => reportExit(0)(response), 300);
    const result = await run({ output: (response) => void response.end(), exit: reportExit(0), removal }, { remove: true });
    expect(result).toMatchObject({ status: "exited", exit_code: 0 });
    expect(result.ms).toBeGreaterThan(290);
  });

  test("is answered when the engine lists the container as ended", async () => {
    const listings = ["running", "running"];
    await run({ output: (response) => void response.end(), exit: reportExit(0), listings });
    expect(listings).toEqual([]);
  });

  test("is an error if the container is gone and no event tells its exit code", async () => {
    await expect(run({ output: (response) => void response.end(), state: null }, { remove: true })).rejects.toMatchObject({
      code: "ENGINE_ERROR",
    });
  });

  test("has not come while a container that has closed its output runs on", async () => {
    const result = await run({ output: (response) => void response.end(), state: { Running: true, ExitCode: 0 } }, { waitMs: 2500 });
    expect(result).toMatchObject({ status: "running", exit_code: undefined });
  });

  test("has not come when neither the output nor the wait ends", async () => {
    expect(await run({ output: (response) => void response.write(frame("hello")) }, { waitMs: 500 })).toMatchObject({ status: "running" });
  });
});
