import { randomUUID } from "node:crypto";
import { testComparedCommands } from "../../support/docker-comparison";
import { type OneNode, startNode } from "../../support/single-node";

let node: OneNode;
let pool: string;

beforeAll(async () => {
  pool = `unix:///tmp/docker-server-${randomUUID().slice(0, 6)}.sock`;
  node = await startNode({ name: "docker-cli", args: [`--docker_listen=${pool}`] });
});

afterAll(() => node?.stop());

testComparedCommands("docker %s", () => ({ engine: node.engine.dockerHost, pool }), { nodes: 1 });
