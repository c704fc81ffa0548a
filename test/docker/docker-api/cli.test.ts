import { randomUUID } from "node:crypto";
import { COMPARED_COMMANDS, comparedClis, runBoth } from "../../support/docker-comparison";
import { type OneNode, startNode } from "../../support/single-node";

let node: OneNode;
let pool: string;

beforeAll(async () => {
  pool = `unix:///tmp/docker-server-${randomUUID().slice(0, 6)}.sock`;
  node = await startNode({ name: "docker-cli", args: [`--docker_listen=${pool}`] });
});

afterAll(() => node?.stop());

describe.each(comparedClis("28"))("docker %s", (_version, cli) => {
  const tag = randomUUID().slice(0, 6);

  test.each(COMPARED_COMMANDS)("docker $args does the same as on the engine", async (command) => {
    const direct = { host: node.engine.dockerHost, name: `direct-${tag}` };
    const [onEngine, onPool] = await runBoth(cli, command, direct, { host: pool, name: `pooled-${tag}` });
    expect(onPool).toEqual(onEngine);
  });
});
