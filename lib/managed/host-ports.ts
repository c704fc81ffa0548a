import type { ContainerList } from "../docker/containers/container-list";
import { AppError } from "../errors";
import { type PortMapping, readManagedSpec } from "./managed-spec";

/** The host ports of managed containers, which are theirs also while they don't run. */
export class HostPorts {
  /** of containers that are just being made */
  private readonly claimed = new Map<string, string>();

  constructor(private readonly list: ContainerList) {}

  /**
   * Keeps ports to one container until it is made, and shows them by itself.
   * @returns to be called then
   * @throws AppError PORT_TAKEN
   */
  async claim(cuid: string, ports: readonly PortMapping[]): Promise<() => void> {
    const wanted = ports.flatMap(portKeys);
    const twice = wanted.find((port, place) => wanted.indexOf(port) < place);
    if (twice !== undefined) throw portTaken(twice, "asked for twice");
    const holders = wanted.length === 0 ? new Map<string, string>() : await this.holders(cuid);
    // From here on nothing else comes in between.
    for (const port of wanted) {
      const holder = holders.get(port) ?? this.claimed.get(port);
      if (holder !== undefined && holder !== cuid) throw portTaken(port, `taken by ${holder}`);
    }
    for (const port of wanted) this.claimed.set(port, cuid);
    return () => {
      for (const port of wanted) if (this.claimed.get(port) === cuid) this.claimed.delete(port);
    };
  }

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
