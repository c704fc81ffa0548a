import net from "node:net";
import { assertSafe, parseDockerAddress } from "../docker-api/listen-address";
import { groupId, socketState } from "../server/unix-socket";
import { type Finding, findingOf } from "../support/finding";

export interface ListenerSettings {
  host: string | null;
  port: number;
  docker_listen: string[];
  docker_tls_ca: string | null;
  docker_socket_group: string | null;
}

const ADDRESS_REMEDY = "Name an address of this machine with --host, or leave it out for all";
const LISTEN_REMEDY = "Check --docker_listen, --docker_socket_group and --docker_tls_ca";

/** Checks the addresses to listen at. One where something listens already is well: the server itself may run. */
export async function checkListeners(settings: ListenerSettings): Promise<Finding[]> {
  const { host, port, docker_listen } = settings;
  return [
    await findingOf("address", async () => ({ found: `${await usableHost(host)}, port ${port}` }), ADDRESS_REMEDY),
    ...(await Promise.all(
      docker_listen.map((text) =>
        findingOf("Docker API", async () => ({ found: `${text}, ${await lookAt(text, settings)}` }), LISTEN_REMEDY),
      ),
    )),
  ];
}

/** @throws Error if it is no address of this machine */
async function usableHost(host: string | null): Promise<string> {
  if (host === null) return "all addresses";
  const server = net.createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port: 0 }, resolve);
  });
  server.close();
  return host;
}

/** @throws Error if the server could not listen there */
async function lookAt(text: string, { docker_tls_ca, docker_socket_group }: ListenerSettings): Promise<string> {
  const address = parseDockerAddress(text);
  assertSafe(address, docker_tls_ca !== null);
  if (address.kind === "tcp") {
    await usableHost(address.host);
    return docker_tls_ca === null ? "for clients with credentials" : "for clients with certificates";
  }
  if (docker_socket_group !== null) groupId(docker_socket_group);
  return (await socketState(address.path)) === "in use" ? "which a program listens at now" : "which can be made";
}
