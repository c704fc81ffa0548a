import { randomUUID } from "node:crypto";
import { startCluster, type TestCluster, type TestNode } from "../../support/cluster";
import { COMPARED_COMMANDS, comparedClis, runBoth } from "../../support/docker-comparison";
import { engineKind } from "../../support/engine";

let cluster: TestCluster;
let pool: string;
/** n2, the only node that takes new work; clients use n1. */
let owner: TestNode;

beforeAll(async () => {
  const socket = `/tmp/docker-server-${randomUUID().slice(0, 6)}.sock`;
  const flags = { n1: [`--docker_listen=unix://${socket}`, "--accept=false"], n2: [], n3: ["--accept=false"] };
  cluster = await startCluster({ size: 3, kind: engineKind(), argsOf: ({ name }) => flags[name as keyof typeof flags] });
  [, owner] = cluster.nodes as [TestNode, TestNode];
  pool = `unix://${socket}`;
});

afterAll(() => cluster?.stop());

describe.each(comparedClis("28"))("docker %s through a node that holds nothing", (_version, cli) => {
  const tag = randomUUID().slice(0, 6);

  test.each(COMPARED_COMMANDS)("docker $args does the same as on the engine", async (command) => {
    const direct = { host: owner.engine.dockerHost, name: `direct-${tag}` };
    const [onEngine, onPool] = await runBoth(cli, command, direct, { host: pool, name: `pooled-${tag}` });
    expect(onPool).toEqual(onEngine);
  });
});
