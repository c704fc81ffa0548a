import { listen, type RunningServer, type ServerSettings } from "../server/listen";
import type { Logger } from "../support/logger";
import { type DockerClients, DockerListener, type DockerListenerDeps } from "./docker-listener";
import { assertSafe, type DockerAddress, readClientAuthority } from "./listen-address";

/**
 * Listens for clients of the Docker API only.
 * @param settings.docker_tls_ca certificate authority of the clients at tcp addresses; without it they present credentials, on loopback
 * @throws SettingsError for an address that isn't safe; Error if one can't be used
 */
export async function listenForDocker(
  addresses: DockerAddress[],
  deps: DockerListenerDeps,
  settings: ServerSettings & { docker_tls_ca: string | null; docker_socket_group: string | null },
  log: Logger,
): Promise<RunningServer[]> {
  const { docker_tls_ca, docker_socket_group, ...common } = settings;
  const authority = docker_tls_ca === null ? undefined : readClientAuthority(docker_tls_ca);
  const servers: RunningServer[] = [];
  for (const address of addresses) {
    const clients: DockerClients = address.kind === "socket" ? "socket" : authority ? "certificate" : "credentials";
    assertSafe(address, authority !== undefined);
    const listener = new DockerListener(deps, clients, () => true);
    const where =
      address.kind === "socket"
        ? { https: false, socket: { path: address.path, group: docker_socket_group } }
        : { host: address.host, port: address.port, https: authority !== undefined, ...(authority ? { clientAuthority: authority } : {}) };
    const { messageClasses } = deps;
    const handler = { handleRequest: listener.handle, messageClasses, handlesExpectContinue: () => false, takesAnyTime: () => true };
    servers.push(await listen(handler, { ...common, ...where }, log, listener.upgrades));
  }
  return servers;
}
