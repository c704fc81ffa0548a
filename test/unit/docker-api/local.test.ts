import { setTimeout as sleep } from "node:timers/promises";
import { Access } from "../../../lib/access/access";
import type { DockerHost } from "../../../lib/docker/docker-host";
import { LocalEngine } from "../../../lib/docker-api/local";
import { type MatchedRow, matchRow } from "../../../lib/docker-api/row";
import { DOCKER_ROWS } from "../../../lib/docker-api/rows";
import { accessOf } from "../../support/unit/access-parts";

test("the progress of a pull for a narrow token is passed on as the engine sends it", async () => {
  const body = Buffer.from('{"status":"Pulling from busybox"}\n{"status":"Digest: sha256:0"}\n');
  const docker = { rawEngine: { versionFor: async () => 43, send: async () => ({ status: 200, headers: {}, body }) } };
  const local = new LocalEngine(docker as unknown as DockerHost, "n1");
  const row = matchRow(DOCKER_ROWS, "POST", ["images", "create"]) as MatchedRow;
  const access = accessOf({ can: ["images"], labels: { customer: "a" } });
  const query = new URLSearchParams({ fromImage: "busybox" });
  expect((await local.answer({ ...row, query, access, version: undefined })).body).toBe(body);
});

test.each(["", "link=0", "link=False", "force=1"])("without link=true the path of a link removes nothing: %s", async (search) => {
  const local = new LocalEngine({ policy: {} } as unknown as DockerHost, "n1");
  const row = matchRow(DOCKER_ROWS, "DELETE", ["containers", "web", "db"]) as MatchedRow;
  const request = { ...row, access: accessOf({ can: ["containers"] }), version: undefined };
  await expect(local.admit({ ...request, query: new URLSearchParams(search) }, undefined)).rejects.toThrow(
    expect.objectContaining({ status: 400 }),
  );
  expect(await local.admit({ ...request, query: new URLSearchParams("link=True") }, undefined)).toMatchObject({ id: "web/db" });
});

describe("a container whose files are asked for", () => {
  const id = "c".repeat(64);
  const other = "d".repeat(64);
  /** Admits a request that names a container, on an engine that answers these inspections. */
  async function admit(named: string, inspected: Record<string, [status: number, json: object]>, listed: object[] = []) {
    const checked: string[] = [];
    const docker = {
      rawEngine: {
        versionFor: async () => 43,
        send: async ({ path }: { path: string }) => {
          const [status, json] = inspected[path.split("/").at(-2) ?? ""] ?? [404, { message: "No such container" }];
          return { status, headers: {}, body: Buffer.from(JSON.stringify(json)) };
        },
      },
      containers: { findMatches: async () => ({ exact: listed, prefix: [] }) },
      guard: { checkEntry: async ({ Id }: { Id: string }) => checked.push(Id) },
      policy: {},
    };
    const local = new LocalEngine(docker as unknown as DockerHost, "n1");
    const row = matchRow(DOCKER_ROWS, "GET", ["containers", named, "export"]) as MatchedRow;
    const request = { ...row, query: new URLSearchParams(), access: accessOf({}), version: undefined };
    const admitted = await local.admit(request, undefined);
    return { id: admitted.id, checked };
  }

  test("is the one with the name, and the one that was checked is used, whoever has the name then", async () => {
    expect(await admit("web", { web: [200, { Id: id, Name: "/web" }] })).toEqual({ id, checked: [id] });
  });

  test("is the one with the alias rather than the one whose id begins with it", async () => {
    const inspected: Record<string, [number, object]> = { cccc: [200, { Id: id, Name: "/x" }], [other]: [200, { Id: other, Name: "/y" }] };
    expect(await admit("cccc", inspected, [{ id: other }])).toEqual({ id: other, checked: [other] });
    expect(await admit("cccc", inspected)).toEqual({ id, checked: [id] });
  });

  test("that the engine can't tell of is refused in its words, though it lists it", async () => {
    await expect(admit(id, { [id]: [500, { message: "layer does not exist" }] }, [{ id }])).rejects.toMatchObject({
      message: "layer does not exist",
      details: { docker_status: 500 },
    });
  });
});

describe("a list of containers", () => {
  /** Asks for lists. During the engine's second answer something changes. */
  function startListing() {
    const sent: string[] = [];
    const containers: { changes: number | undefined } = { changes: 1 };
    const rawEngine = {
      versionFor: async () => 43,
      send: async ({ path }: { path: string }) => {
        if (sent.push(path) === 2) containers.changes = 3;
        return { status: 200, headers: {}, body: Buffer.from(`["${sent.length}"]`) };
      },
    };
    const local = new LocalEngine({ rawEngine, containers } as unknown as DockerHost, "n1");
    const row = matchRow(DOCKER_ROWS, "GET", ["containers", "json"]) as MatchedRow;
    const list = async (query = "all=1") => {
      const answer = await local.answer({ ...row, query: new URLSearchParams(query), access: Access.full, version: 43 });
      return answer.body.toString();
    };
    return { list, sent, containers };
  }

  test("answers equal requests for a moment while nothing changes", async () => {
    const { list, sent } = startListing();
    expect([await list(), await list(), await list("all=0")]).toEqual(['["1"]', '["1"]', '["2"]']);
    await sleep(50);
    expect(await list()).toBe('["3"]');
    expect(sent[0]).toBe("/v1.43/containers/json?all=1");
  });

  test("is read again after a change, also one that came while it was read", async () => {
    const { list, containers } = startListing();
    await list();
    containers.changes = 2;
    expect([await list(), await list(), await list()]).toEqual(['["2"]', '["3"]', '["3"]']);
  });

  test("is read each time while the engine's events aren't followed, and with sizes, which change without one", async () => {
    const { list, containers } = startListing();
    expect([await list("size=1"), await list("size=1")]).toEqual(['["1"]', '["2"]']);
    containers.changes = undefined;
    expect([await list(), await list()]).toEqual(['["3"]', '["4"]']);
  });
});
