import { once } from "node:events";
import type { RequestListener, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { Access } from "../../../lib/access/access";
import { ContainerList } from "../../../lib/docker/containers/container-list";
import { exec } from "../../../lib/docker/containers/exec";
import { Lifecycle } from "../../../lib/docker/containers/lifecycle";
import { Runner } from "../../../lib/docker/create/runner";
import type { Engine } from "../../../lib/docker/engine";
import { EngineServers } from "../../support/unit/engine-servers";

const engines = new EngineServers();
afterEach(() => engines.stop());

const SHORT = 400;
const LONG = 600_000;
const VERY_SHORT = 50;
/** Lets every container start. */
const guard = { checkStart: async () => undefined } as never;
const IN_TIME = { code: "ENGINE_TIMEOUT" };

const log = { debug: () => undefined } as never;

/** Removes a container of an engine. */
function remove(engine: Engine, list: ContainerList, id = "a"): Promise<void> {
  const unused = undefined as never;
  return new Runner(engine, unused, unused, list, unused, unused, unused, unused, log).remove(id);
}

/** A client of an engine that answers pings and handles all other requests with `take`. */
const engineThat = async (take: RequestListener, times = { read: LONG, write: LONG }) => (await engines.start(take, times)).engine;

describe("sending a stream", () => {
  async function send(take: RequestListener, times: { read: number; write: number }): Promise<unknown> {
    const client = await engineThat(take, times);
    const body = Readable.from(Array.from({ length: 200 }, () => Buffer.alloc(100_000)));
    const sent = client.send(body, (docker) => docker.getContainer("a").putArchive(body, { path: "/" }), "start");
    await sent.catch(() => undefined);
    expect(body.destroyed).toBe(true);
    return sent;
  }

  test("a request body that the engine does not accept fails after the write timeout", async () => {
    await expect(send(() => undefined, { read: LONG, write: SHORT })).rejects.toMatchObject(IN_TIME);
  });

  test("a missing response to a complete request body fails after the read timeout", async () => {
    await expect(send((request) => void request.resume(), { read: SHORT, write: LONG })).rejects.toMatchObject(IN_TIME);
  });

  test("the read timeout does not run while the engine accepts the request body", async () => {
    const slowly: RequestListener = async (request, response) => {
      await sleep(3 * SHORT);
      request.resume().once("end", () => response.end());
    };
    await send(slowly, { read: SHORT, write: LONG });
  });
});

test("a command whose start takes the engine longer than the wait is still running, not an error", async () => {
  const wait = new AbortController();
  const client = await engineThat(async (request, response) => {
    if (request.url?.startsWith("/exec/")) {
      wait.abort();
      await sleep(VERY_SHORT);
      return void response.end();
    }
    response.end(JSON.stringify({ Id: "b" }));
  });
  const result = await exec(client, "a", { command: ["true"], tty: false, env: {} }, 1000, wait.signal);
  expect(result).toMatchObject({ exec_id: "b", exit_code: null, ended: false });
});

describe("stopping", () => {
  /** A container whose stop the engine never finishes. */
  const lifecycleOf = async (StopTimeout: number | undefined) => {
    const client = await engineThat(
      (request, response) => void (request.method === "GET" && response.end(JSON.stringify({ Config: { StopTimeout }, HostConfig: {} }))),
      { read: SHORT, write: LONG },
    );
    return new Lifecycle(client, new ContainerList(client, "node", { debug: () => undefined } as never), guard, undefined as never);
  };

  test.each(["stop", "restart"] as const)(
    "%s has the container's own stop timeout added to its deadline, at most an hour",
    async (action) => {
      const deadlines = jest.spyOn(AbortSignal, "timeout");
      for (const [own, seconds] of [
        [100, 100],
        [undefined, 10],
        [-1, 3600],
        [86_400, 3600],
      ] as const) {
        const lifecycle = await lifecycleOf(own);
        void (action === "stop" ? lifecycle.stop("a") : lifecycle.restart("a", Access.full)).catch(() => undefined);
        while (!deadlines.mock.calls.some(([ms]) => ms === SHORT + seconds * 1000)) await sleep(5);
        engines.stop();
      }
      deadlines.mockRestore();
    },
  );

  test("an engine that answers pings is never called unreachable", async () => {
    const lifecycle = await lifecycleOf(0);
    await expect(lifecycle.stop("a")).rejects.toMatchObject({ code: "ENGINE_TIMEOUT", status: 503 });
  });
});

describe("a container that the engine removes at its end", () => {
  /** Calls `act` with an engine that reports the removal only after its response to the stop or the removal. */
  async function untilRemoved(statusCode: number, act: (engine: Engine, list: ContainerList) => Promise<void>): Promise<void> {
    let waiting: ServerResponse | undefined;
    const client = await engineThat((request, response) => {
      if (request.url?.includes("/wait")) {
        waiting = response;
        return response.flushHeaders();
      }
      const isInspect = request.method === "GET";
      response.writeHead(isInspect ? 200 : statusCode, { "Content-Type": "application/json" });
      if (isInspect) response.end(JSON.stringify({ Id: "a", Config: {}, HostConfig: { AutoRemove: true }, State: {} }));
      else response.end(statusCode === 409 ? '{"message":"removal of container is already in progress"}' : "");
    });
    let answered = false;
    const acting = act(client, new ContainerList(client, "node", log)).then(() => {
      answered = true;
    });
    while (!waiting) await sleep(5);
    await sleep(SHORT);
    expect(answered).toBe(false);
    waiting.end('{"StatusCode":137}');
    await acting;
  }

  test.each([204, 304])("has its name free when a stop is answered (%i)", async (statusCode) => {
    await untilRemoved(statusCode, (engine, list) => new Lifecycle(engine, list, guard, undefined as never).stop("a", 0));
  });

  test("has its name free when a removal beside the engine's own is answered", async () => {
    await untilRemoved(409, (engine, list) => remove(engine, list));
  });
});

describe("a removal", () => {
  const INSPECTED = { Id: "abc", Name: "/web", Config: {}, HostConfig: { AutoRemove: false }, State: { Status: "exited" } };

  /**
   * Removes `id` on an engine with the one container that is inspected.
   * @param taken answers the requests to remove it and to wait for its removal
   */
  async function removed(id: string, taken: RequestListener): Promise<string[]> {
    const asked: string[] = [];
    const client = await engineThat((request, response) => {
      const { pathname, searchParams } = new URL(request.url ?? "", "http://engine");
      asked.push(`${request.method} ${pathname}`);
      response.setHeader("Content-Type", "application/json");
      if (pathname === "/containers/json") {
        const { name } = JSON.parse(searchParams.get("filters") ?? "{}");
        const isListed = name?.[0] === "^/?web$";
        return response.end(JSON.stringify(isListed ? [{ Id: "abc", Names: ["/web"], Created: 0, Labels: {} }] : []));
      }
      if (request.method === "GET") return response.end(JSON.stringify(INSPECTED));
      taken(request, response);
    });
    await remove(client, new ContainerList(client, "node", log), id);
    return asked;
  }

  test.each(["abc", "web"])("asks the engine once before it (%s)", async (id) => {
    expect(await removed(id, (_request, response) => response.writeHead(204).end())).toEqual([
      `GET /containers/${id}/json`,
      "DELETE /containers/abc",
    ]);
  });

  test("spares a container whose id only begins with what is asked for", async () => {
    const removing = removed("ab", (_request, response) => response.writeHead(204).end());
    await expect(removing).rejects.toMatchObject({ code: "CONTAINER_NOT_FOUND" });
  });

  test("that another client's has forestalled is answered when the container is gone", async () => {
    const taken: string[] = [];
    await removed("abc", (request, response) => {
      taken.push(`${request.method} ${request.url?.split("?")[0]}`);
      if (request.method === "POST") return response.end('{"StatusCode":0}');
      response.writeHead(409).end('{"message":"removal of container is already in progress"}');
    });
    expect(taken).toEqual(["DELETE /containers/abc", "POST /containers/abc/wait"]);
  });
});

describe("creating", () => {
  const requests: { url: string; body: string }[] = [];
  const recording: RequestListener = async (request, response) => {
    requests.push({ url: request.url ?? "", body: await text(request) });
    response.writeHead(201, { "Content-Type": "application/json" }).end('{"Id":"a","Name":"a"}');
  };
  beforeEach(() => void requests.splice(0));

  test("the specification of a container is in the body alone, only name and platform are in the URL", async () => {
    const client = await engineThat(recording);
    const options = { name: "a", platform: "linux/amd64", Image: "b", Env: ["KEY=secret"], HostConfig: { Memory: 1 } };
    expect(await client.createContainer(options, "start", () => undefined)).toBe("a");
    expect(requests[0]?.url).toBe("/containers/create?name=a&platform=linux%2Famd64");
    expect(JSON.parse(requests[0]?.body ?? "")).toEqual({ Image: "b", Env: ["KEY=secret"], HostConfig: { Memory: 1 } });
  });

  test("the environment of an exec is in the body alone", async () => {
    const client = await engineThat(recording);
    const spec = { command: ["true"], tty: false, env: { KEY: "secret" } };
    await exec(client, "a", spec, 1000, new AbortController().signal).catch(() => undefined);
    expect(requests[0]?.url).toBe("/containers/a/exec");
    expect(JSON.parse(requests[0]?.body ?? "")).toMatchObject({ Cmd: ["true"], Env: ["KEY=secret"] });
    expect(requests.filter(({ url }) => url.includes("secret"))).toEqual([]);
  });

  test("the options of a volume are in the body alone", async () => {
    const client = await engineThat(recording);
    await client.createVolume({ Name: "a", DriverOpts: { o: "password=secret" } }, "start");
    expect(requests[0]?.url.replace("?", "")).toBe("/volumes/create");
    expect(JSON.parse(requests[0]?.body ?? "")).toEqual({ Name: "a", DriverOpts: { o: "password=secret" } });
  });
});

test("of an engine that answers pings and closes the connection of a call it isn't said that it doesn't answer", async () => {
  const client = await engineThat((request) => void request.socket.destroy());
  const calls = [client.call((docker) => docker.info()), client.stream("GET", "/containers/a/logs"), client.hijack("/containers/a/attach")];
  for (const call of calls) await expect(call).rejects.toMatchObject({ status: 503, message: "The connection to the Docker engine broke" });
});

describe("a connection that is not upgraded", () => {
  test("is an error that says why, and is closed", async () => {
    const closed: Promise<unknown>[] = [];
    const client = await engineThat((request, response) => {
      closed.push(once(request.socket, "close"));
      response.writeHead(200).write("output");
    });
    await expect(client.hijack("/exec/a/start", { body: { Tty: false } })).rejects.toMatchObject({
      code: "ENGINE_ERROR",
      message: expect.stringContaining("Upgrade"),
    });
    await Promise.all(closed);
  });

  test("is requested without a body for an attach, so that a proxy can pass the upgrade on", async () => {
    const { engine: client, server } = await engines.start(() => undefined, { read: LONG, write: LONG });
    server.on("upgrade", (request, socket) => {
      const { upgrade, "content-length": length, "transfer-encoding": coding } = request.headers;
      socket.end(`HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n${[upgrade, length, coding].join()}`);
    });
    expect(await text(await client.hijack("/containers/a/attach", { query: { stdin: true } }))).toBe("tcp,0,");
  });
});
