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
