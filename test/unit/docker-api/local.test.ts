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
