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
