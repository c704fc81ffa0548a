import { existsSync } from "node:fs";
import net from "node:net";
import { networkInterfaces } from "node:os";
import type { ContainerInspectInfo } from "dockerode";
import { AppError } from "../../errors";
import type { Engine } from "../engine";

/** The address at which this process reaches a port of a container. */
export interface Upstream {
  host: string;
  port: number;
  container_port: number;
}

interface Published {
  container_port: number;
  host_ip: string;
  host_port: number;
}

/** The label with the container port to use if several are published. */
export const PORT_LABEL = "dockapi.container_port";

const LOOPBACK = "127.0.0.1";
const CONNECT_TIMEOUT_MS = 1000;
const CONTAINER_MARKER_FILES = ["/.dockerenv", "/run/.containerenv"];

/**
 * Finds the address of a published TCP port of a container: the engine's machine and the host port, or, if this server itself runs in a
 * container and so can't reach the machine's loopback, the container's own address.
 * @param id full id
 * @param port container port; required if several are published and no label says which
 * @throws AppError CONTAINER_NOT_FOUND; NOT_RUNNING; NO_PORT naming `port`; UPSTREAM_UNREACHABLE
 */
export async function findUpstream(engine: Engine, id: string, port?: number): Promise<Upstream> {
  const info = await engine.call((docker, abortSignal) => docker.getContainer(id).inspect({ abortSignal }));
  if (!info.State.Running || info.State.Paused) throw new AppError("NOT_RUNNING", { details: { id, status: info.State.Status } });
  const { container_port, host_ip, host_port } = choosePort(info, port);
  const anywhere = ["", "0.0.0.0", "::"].includes(host_ip);
  const at = (host: string, reached: number) => ({ host, port: reached, container_port });
  if (!runsInContainer() || sharesNetwork(info))
    return at(anywhere || isLoopback(host_ip) ? (engine.machine ?? LOOPBACK) : host_ip, host_port);
  const networks = Object.values(info.NetworkSettings.Networks ?? {});
  const candidates = [
    ...networks.filter(({ IPAddress }) => IPAddress).map(({ IPAddress }) => at(IPAddress, container_port)),
    ...(anywhere ? networks.filter(({ Gateway }) => Gateway).map(({ Gateway }) => at(Gateway, host_port)) : []),
    ...(anywhere && engine.machine ? [at(engine.machine, host_port)] : []),
    ...(anywhere || isLoopback(host_ip) ? [] : [at(host_ip, host_port)]),
  ];
  const reachable = await Promise.all(candidates.map(canConnect));
  const found = candidates.find((_, index) => reachable[index]);
  if (found) return found;
  throw new AppError("UPSTREAM_UNREACHABLE", {
    message: `Port ${container_port} of the container can't be reached from this server's own container: put both on one network`,
    details: { id, port: container_port },
  });
}

function choosePort(info: ContainerInspectInfo, wanted: number | undefined): Published {
  const published = Object.entries(info.NetworkSettings.Ports ?? {}).flatMap(([name, bindings]): Published[] => {
    const [container = "", protocol] = name.split("/");
    const binding = (bindings as { HostIp: string; HostPort: string }[] | null)?.[0];
    if (protocol !== "tcp" || !binding) return [];
    return [{ container_port: Number(container), host_ip: binding.HostIp, host_port: Number(binding.HostPort) }];
  });
  const details = { field: "port", ports: published.map(({ container_port }) => container_port) };
  const named = wanted ?? (published.length > 1 ? Number(info.Config.Labels?.[PORT_LABEL]) : undefined);
  const found = named === undefined ? published[0] : published.find(({ container_port }) => container_port === named);
  if (found) return found;
  if (published.length === 0) throw new AppError("NO_PORT", { details });
  if (wanted === undefined) throw new AppError("NO_PORT", { message: "The container publishes several ports: say which by port", details });
  throw new AppError("NO_PORT", { message: `The container doesn't publish port ${wanted}`, details });
}

const isLoopback = (address: string) => address === "::1" || address.startsWith("127.");

const runsInContainer = () => CONTAINER_MARKER_FILES.some((mark) => existsSync(mark));

/** A bridge's gateway is an address of the engine's machine; a process with that address uses the machine's own network. */
function sharesNetwork({ NetworkSettings }: ContainerInspectInfo): boolean {
  const own = new Set(Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address)));
  return Object.values(NetworkSettings.Networks ?? {}).some(({ Gateway }) => own.has(Gateway));
}

function canConnect({ host, port }: Upstream): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port, timeout: CONNECT_TIMEOUT_MS });
    const end = (open: boolean) => {
      socket.destroy();
      resolve(open);
    };
    socket.once("connect", () => end(true)).once("timeout", () => end(false));
    socket.on("error", () => end(false));
  });
}
