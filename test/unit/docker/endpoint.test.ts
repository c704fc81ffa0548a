import Docker from "dockerode";
import { resolveEndpoint } from "../../../lib/docker/endpoint";

const SETTINGS = {
  docker_context: null,
  docker_tls_verify: false,
  docker_cert_path: null,
  docker_config: null,
  ssh_auth_sock: null,
  cliVariables: {},
};

test.each([
  ["tcp://[::1]:2375", "::1"],
  ["ssh://root@[fd00::7]", "fd00::7"],
  ["tcp://10.0.0.9:2375", "10.0.0.9"],
])("the engine at %s is reached at %s", async (docker_host, host) => {
  const { options, url } = await resolveEndpoint({ ...SETTINGS, docker_host });
  expect([options.host, url]).toEqual([host, docker_host]);
});

test("for an engine at a socket, DOCKER_HOST in the environment counts for nothing", async () => {
  const before = process.env.DOCKER_HOST;
  process.env.DOCKER_HOST = "ssh://root@other";
  try {
    const { options } = await resolveEndpoint({ ...SETTINGS, docker_host: "unix:///run/engine.sock" });
    const { modem } = new Docker(options);
    expect({ ...modem }).toMatchObject({ protocol: "http", socketPath: "/run/engine.sock", host: undefined, port: undefined });
  } finally {
    if (before === undefined) delete process.env.DOCKER_HOST;
    else process.env.DOCKER_HOST = before;
  }
});
