import type { ContainerList } from "../docker/containers/container-list";
import { AppError } from "../errors";
import { type PortMapping, readManagedSpec } from "./managed-spec";

/** The host ports of managed containers, reserved for them also while they are stopped. */
export class HostPorts {
  /** `port/protocol` to cuid, of containers being created or changed */
  private readonly claimed = new Map<string, string>();

  constructor(private readonly list: ContainerList) {}

  /**
   * Reserves ports until the container exists and its labels reserve them.
   * @returns releases the reservation
   * @throws AppError PORT_TAKEN
   */
  async claim(cuid: string, ports: readonly PortMapping[]): Promise<() => void> {
    const requested = ports.flatMap(portKeys);
    const duplicate = requested.find((port, index) => requested.indexOf(port) < index);
    if (duplicate !== undefined) throw portTaken(duplicate, "asked for twice");
    const holders = requested.length === 0 ? new Map<string, string>() : await this.holders(cuid);
    // No await from here on: check and claim must be atomic.
    for (const port of requested) {
      const holder = holders.get(port) ?? this.claimed.get(port);
      if (holder !== undefined && holder !== cuid) throw portTaken(port, `taken by ${holder}`);
    }
    for (const port of requested) this.claimed.set(port, cuid);
    return () => {
      for (const port of requested) if (this.claimed.get(port) === cuid) this.claimed.delete(port);
    };
  }

  /** Ports published by other containers or reserved in their labels, with the container's name. */
  private async holders(cuid: string): Promise<Map<string, string>> {
    const { containers } = await this.list.read();
    const others = containers.filter(({ name }) => name !== cuid && !name.endsWith(`_${cuid}`));
    return new Map(
      others.flatMap((each) => {
        const published = each.ports.flatMap(({ host, protocol }) => (host === undefined ? [] : [`${host}/${protocol}`]));
        return [...published, ...(readManagedSpec(each)?.ports ?? []).flatMap(portKeys)].map((port) => [port, each.name] as const);
      }),
    );
  }
}

const portKeys = ({ host, protocol }: PortMapping) => (host === null ? [] : [`${host}/${protocol}`]);

function portTaken(port: string, why: string): AppError {
  return new AppError("PORT_TAKEN", { message: `The host port ${port} is ${why}`, details: { field: "ports", port } });
}
