import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import path from "node:path";
import type { DemoNode } from "./demo-nodes";
import { heading, printCommand, printOutput } from "./demo-terminal";
import { runOrThrow } from "./process";

const GREETING = "hello from docker run";

/** The docker command uses the pool as one engine, through any node. */
export async function showDockerCli(nodes: DemoNode[], image: string): Promise<void> {
  const docker = dockerOf(nodes);
  const [entry] = nodes as [DemoNode];
  heading("12. docker -H uses the pool", "Each node also speaks Docker's own API. `docker run` goes where it fits best.");
  await docker(`-H ${entry.dockerVariable} run -d --name greeter ${image} sh -c 'echo ${GREETING}; sleep 1000'`);
  const format = "{{.Actor.Attributes.name}} was started on {{.Actor.Attributes.node}}";
  // The CLI sends whole seconds: `--until 0s` would leave out what this second has seen.
  const started = await docker(
    `-H ${entry.dockerVariable} events --since 1m --until=-1s --filter container=greeter --filter event=start --format '${format}'`,
  );
  const holder = nodes.find(({ name }) => started === `greeter was started on ${name}`);
  assert.ok(holder, started);
  const other = nodes.find((node) => node !== holder) as DemoNode;
  heading("    … through any node", `${other.name} lists the containers of all, and passes on the log that ${holder.name} holds.`);
  const listed = await docker(`-H ${other.dockerVariable} ps --format 'table {{.Names}}\\t{{.Image}}\\t{{.Status}}'`);
  assert.match(listed, /^greeter /m);
  assert.equal(await docker(`-H ${other.dockerVariable} logs greeter`), GREETING);
  assert.equal(await docker(`-H ${other.dockerVariable} rm -f greeter`), "greeter");
}

/**
 * Prints and runs lines of the docker command, with an empty configuration.
 * @returns a function that resolves with the output of a line
 */
function dockerOf(nodes: DemoNode[]): (line: string) => Promise<string> {
  const { PATH } = process.env;
  const sockets = Object.fromEntries(nodes.map(({ dockerVariable, dockerHost }) => [dockerVariable.slice(1), dockerHost]));
  const DOCKER_CONFIG = path.join(tmpdir(), "docker-server-demo-no-config");
  return async (line) => {
    printCommand(`docker ${line}`);
    const output = (await runOrThrow("sh", ["-c", `docker ${line}`], { env: { PATH, DOCKER_CONFIG, ...sockets } })).trim();
    printOutput(output);
    return output;
  };
}
