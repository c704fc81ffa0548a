import { lookup } from "node:dns/promises";
import { existsSync } from "node:fs";
import net, { isIPv6 } from "node:net";
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

/** An address and port of the engine's machine, as the engine reports them. */
interface Binding {
  host_ip: string;
  host_port: number;
}

interface Published {
  container_port: number;
  bindings: Binding[];
}

/** The label with the container port to use if several are published. */
export const PORT_LABEL = "dockapi.container_port";

const LOOPBACK = { 4: "127.0.0.1", 6: "::1" } as const;
/** What the engine reports for a port that is bound to all IPv4, to all IPv6 or to all addresses. */
const ALL_IPV4 = new Set(["", "0.0.0.0"]);
const ALL_IPV6 = new Set(["", "::"]);
const CONNECT_TIMEOUT_MS = 1000;
const CONTAINER_MARKER_FILES = ["/.dockerenv", "/run/.containerenv"];

/**
 * Finds the address of a published TCP port of a container: the bound address on the engine's machine, or, if this server itself runs in a
 * container and so can't reach the machine's loopback, the container's own address.
 * @param id full id
 * @param port container port; required if several are published and no label says which
 * @throws AppError CONTAINER_NOT_FOUND; NOT_RUNNING; NO_PORT naming `port`; UPSTREAM_UNREACHABLE
 */
export async function findUpstream(engine: Engine, id: string, port?: number): Promise<Upstream> {
  const info = await engine.call((docker) => docker.getContainer(id).inspect());
  if (!info.State.Running || info.State.Paused) throw new AppError("NOT_RUNNING", { details: { id, status: info.State.Status } });
  const published = publishedPorts(info);
  if (published.length === 0) throw await noPublishedPort(engine, info);
  const { container_port, bindings } = choosePort(published, info, port);
  const isolated = runsInContainer() && !sharesNetwork(info);
  const machine = await MachineAddresses.of(engine.machine);
  const reachable = bindings.flatMap((binding) => machine.reach(binding, isolated));
  const candidates = reachable.map((host_port) => ({ ...host_port, container_port }));
  if (!isolated && candidates[0]) return candidates[0];
  if (isolated) {
    const own = containerAddresses(info).map((host) => ({ host, port: container_port, container_port }));
    const found = await firstReachable([
      ...own,
      ...gatewayBindings(info, bindings).map((each) => ({ ...each, container_port })),
      ...candidates,
    ]);
    if (found) return found;
  }
  throw new AppError("UPSTREAM_UNREACHABLE", {
    message: isolated
      ? `Port ${container_port} of the container can't be reached from this server's own container: put both on one network`
      : `Port ${container_port} of the container is bound to ${bindings.map(({ host_ip }) => host_ip).join(", ")} of the engine's machine, which can't be reached from here`,
    details: { id, port: container_port },
  });
}

/** The addresses of the engine's machine as seen from this process. */
class MachineAddresses {
  private constructor(
    /** undefined if this machine is the engine's */
    private readonly remote: { 4: string | undefined; 6: string | undefined } | undefined,
  ) {}

  /** @param machine name or address in the engine's address; undefined for a local socket */
  static async of(machine: string | undefined): Promise<MachineAddresses> {
    if (machine === undefined) return new MachineAddresses(undefined);
    const found = await lookup(machine, { all: true }).catch(() => []);
    const own = ownAddresses();
    if (found.some(({ address }) => isLoopback(address) || own.has(address))) return new MachineAddresses(undefined);
    const first = (family: 4 | 6) => found.find((each) => each.family === family)?.address;
    return new MachineAddresses({ 4: first(4), 6: first(6) });
  }

  /**
   * Where a binding is reached, if it is; an IPv4 address comes first.
   * @param isolated whether this process has a loopback of its own
   */
  reach({ host_ip, host_port }: Binding, isolated: boolean): { host: string; port: number }[] {
    const all = isolated && !this.remote ? { 4: undefined, 6: undefined } : (this.remote ?? LOOPBACK);
    const anywhere = [...(ALL_IPV4.has(host_ip) ? [all[4]] : []), ...(ALL_IPV6.has(host_ip) ? [all[6]] : [])];
    const specific = ALL_IPV4.has(host_ip) || ALL_IPV6.has(host_ip) || (isLoopback(host_ip) && (isolated || this.remote)) ? [] : [host_ip];
    return [...anywhere, ...specific].flatMap((host) => (host === undefined ? [] : [{ host, port: host_port }]));
  }
}

/** A container's own addresses, on all of its networks. */
function containerAddresses({ NetworkSettings }: ContainerInspectInfo): string[] {
  return Object.values(NetworkSettings.Networks ?? {})
    .flatMap(({ IPAddress, GlobalIPv6Address }) => [IPAddress, GlobalIPv6Address])
    .filter(Boolean);
}

/** A network's gateway is the engine's machine: a port that is bound to all of its addresses is bound to the gateway's too. */
function gatewayBindings({ NetworkSettings }: ContainerInspectInfo, bindings: Binding[]): { host: string; port: number }[] {
  const networks = Object.values(NetworkSettings.Networks ?? {});
  return bindings.flatMap(({ host_ip, host_port: port }) => {
    const ipv4 = ALL_IPV4.has(host_ip) ? networks.map(({ Gateway }) => Gateway) : [];
    const ipv6 = ALL_IPV6.has(host_ip) ? networks.map(({ IPv6Gateway }) => IPv6Gateway) : [];
    return [...ipv4, ...ipv6].filter(Boolean).map((host) => ({ host, port }));
  });
}

function publishedPorts({ NetworkSettings }: ContainerInspectInfo): Published[] {
  return Object.entries(NetworkSettings.Ports ?? {}).flatMap(([name, reported]): Published[] => {
    const [container = "", protocol] = name.split("/");
    const bindings = ((reported as { HostIp: string; HostPort: string }[] | null) ?? []).map(({ HostIp, HostPort }) => {
      return { host_ip: HostIp, host_port: Number(HostPort) };
    });
    if (protocol !== "tcp" || bindings.length === 0) return [];
    // IPv4 is reached wherever the engine is; a machine may have no IPv6.
    const ipv4 = bindings.filter(({ host_ip }) => !isIPv6(host_ip));
    return [{ container_port: Number(container), bindings: [...ipv4, ...bindings.filter(({ host_ip }) => isIPv6(host_ip))] }];
  });
}

function choosePort(published: Published[], { Config }: ContainerInspectInfo, wanted: number | undefined): Published {
  const details = { field: "port", ports: published.map(({ container_port }) => container_port) };
  const named = wanted ?? (published.length > 1 ? Number(Config.Labels?.[PORT_LABEL]) : undefined);
  const found = named === undefined ? published[0] : published.find(({ container_port }) => container_port === named);
  if (found) return found;
  const numbers = details.ports.join(", ");
  if (wanted === undefined)
    throw new AppError("NO_PORT", { message: `The container publishes several ports: say which by ?port=, of ${numbers}`, details });
  const bound = published.find(({ bindings }) => bindings.some(({ host_port }) => host_port === wanted));
  const hint = bound
    ? `, but ${bound.container_port}, as ${wanted} of its host: say ?port=${bound.container_port}`
    : `: it publishes ${numbers}`;
  throw new AppError("NO_PORT", { message: `The container doesn't publish port ${wanted}${hint}`, details });
}

/** The error for a container without published ports: it names the container whose network this one uses, which publishes the ports of both. */
async function noPublishedPort(engine: Engine, { HostConfig }: ContainerInspectInfo): Promise<AppError> {
  const details = { field: "port", ports: [] };
  const [mode, reference = ""] = (HostConfig.NetworkMode ?? "").split(":");
  if (mode === "host") return new AppError("NO_PORT", { message: "The container uses the host's network and publishes no port", details });
  if (mode !== "container") return new AppError("NO_PORT", { details });
  const name = await engine
    .call((docker) => docker.getContainer(reference).inspect())
    .then(
      ({ Name }) => Name.replace(/^\//, ""),
      () => reference,
    );
  const message = `The container uses the network of ${name}, which publishes the ports of both: ask for ${name}`;
  return new AppError("NO_PORT", { message, details: { ...details, network_of: name } });
}

const isLoopback = (address: string) => address === "::1" || address.startsWith("127.");

const runsInContainer = () => CONTAINER_MARKER_FILES.some((mark) => existsSync(mark));

function ownAddresses(): Set<string> {
  return new Set(Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address)));
}

/** A bridge's gateway is an address of the engine's machine; a process with that address uses the machine's own network. */
function sharesNetwork({ NetworkSettings }: ContainerInspectInfo): boolean {
  const own = ownAddresses();
  return Object.values(NetworkSettings.Networks ?? {}).some(({ Gateway, IPv6Gateway }) => own.has(Gateway) || own.has(IPv6Gateway));
}

async function firstReachable(candidates: Upstream[]): Promise<Upstream | undefined> {
  const reachable = await Promise.all(candidates.map(canConnect));
  return candidates.find((_, index) => reachable[index]);
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
