import { randomUUID } from "node:crypto";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import { uniqueName } from "../../support/cluster-containers";
import { testComparedCommands } from "../../support/docker-comparison";
import { engineApi } from "../../support/engine-api";

let cluster: TestCluster;
let pool: string;
/** n2, the only node that takes new work; clients use n1. */
let owner: TestNode;

beforeAll(async () => {
  const socket = `/tmp/docker-server-${randomUUID().slice(0, 6)}.sock`;
  const flags = { n1: [`--docker_listen=unix://${socket}`, "--accept=false"], n2: [], n3: ["--accept=false"] };
  // The texts of the whole pool are those of newer engines.
  cluster = await startCluster({ size: 3, kind: "28", argsOf: ({ name }) => flags[name as keyof typeof flags] });
  [, owner] = cluster.nodes as [TestNode, TestNode];
  pool = `unix://${socket}`;
});

afterAll(() => cluster?.stop());

test("a client that names no version of the API makes containers, networks and volumes on another node, too", async () => {
  const name = uniqueName("unversioned");
  const create = (path: string, json: object) => engineApi({ socket: pool.replace("unix://", "") }, "POST", path, json);
  await create(`/containers/create?name=${name}`, { Image: "busybox" });
  await create("/networks/create", { Name: name });
  await create("/volumes/create", { Name: name });
  for (const path of [`/containers/${name}`, `/networks/${name}`, `/volumes/${name}`]) {
    expect(await engineApi(owner.engine, "GET", path.startsWith("/containers") ? `${path}/json` : path)).toBeDefined();
    await engineApi(owner.engine, "DELETE", path);
  }
});

testComparedCommands("docker %s through a node that holds nothing", () => ({ engine: owner.engine.dockerHost, pool }), { nodes: 3 });
