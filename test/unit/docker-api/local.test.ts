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
