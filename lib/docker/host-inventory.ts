import { LRUCache } from "lru-cache";
import { isNotFound } from "../errors";
import type { ContainerList } from "./containers/container-list";
import type { Engine } from "./engine";
import type { Images } from "./images/images";

/** Bytes and cores that containers are limited to; 0 is no limit. */
interface Reservation {
  memory: number;
  cpus: number;
}

/** What a run looks for on a host. */
interface HostNeeds {
  image: string;
  volumes: string[];
  networks?: string[] | undefined;
  containers?: string[] | undefined;
}

/** The resources of this host and what its containers reserve. */
export class HostInventory {
  /** By container id. `docker update` is rare, and seen when the entry expires. */
  private readonly reservations = new LRUCache<string, Reservation>({ max: 5000, ttl: 60_000 });
  private readonly imagePresence = new LRUCache<string, boolean>({ max: 500, ttl: 1000 });
  private knownHostSize: { memory: number; cores: number } | undefined;

  constructor(
    private readonly engine: Engine,
    private readonly containers: ContainerList,
    private readonly images: Images,
  ) {}

  /**
   * Reads all that a node's bid for a run needs.
   * @param needs what to look for: a reference of an image, names of volumes and networks, names or ids of containers
   * @returns reservedMemory and reservedCpu as shares of the host; memory in bytes
   * @throws AppError ENGINE_UNREACHABLE
   */
  async read({ image, volumes, networks = [], containers: joined = [] }: HostNeeds) {
    const { containers } = await this.containers.read();
    const running = containers.filter(({ state }) => state === "running" || state === "paused" || state === "restarting");
    const missingContainer = joined.find((name) => !containers.some((each) => each.name === name || each.id.startsWith(name)));
    const [size, hasImage, hasVolumes, missingNetwork, reserved] = await Promise.all([
      this.hostSize(),
      this.hasImage(image),
      this.hasVolumes(volumes),
      this.missingNetwork(networks),
      Promise.all(running.map(async ({ id }) => (await this.reservation(id)) ?? { memory: 0, cpus: 0 })),
    ]);
    return {
      reservedMemory: reserved.reduce((total, { memory }) => total + memory, 0) / size.memory,
      reservedCpu: reserved.reduce((total, { cpus }) => total + cpus, 0) / size.cores,
      bindings: running.flatMap(({ ports }) =>
        ports.flatMap((port) => (port.host ? [`${port.host_ip ?? ""}:${port.host}/${port.protocol}`] : [])),
      ),
      hasImage,
      hasVolumes,
      ...(missingNetwork !== undefined && { missingNetwork }),
      ...(missingContainer !== undefined && { missingContainer }),
      totalMemory: size.memory,
      cores: size.cores,
    };
  }

  /**
   * What a container can use at most: without a limit all that the host has.
   * @returns undefined if it is removed
   * @throws AppError ENGINE_UNREACHABLE
   */
  async usableBy(id: string): Promise<Reservation | undefined> {
    const limits = await this.reservation(id);
    return limits && this.usableWithin(limits);
  }

  /** What a container with these limits can use at most. */
  async usableWithin({ memory, cpus }: Reservation): Promise<Reservation> {
    const size = await this.hostSize();
    return { memory: memory || size.memory, cpus: cpus || size.cores };
  }

  private async hostSize() {
    if (this.knownHostSize) return this.knownHostSize;
    const info = (await this.engine.call((docker) => docker.info())) as { MemTotal: number; NCPU: number };
    this.knownHostSize = { memory: info.MemTotal, cores: info.NCPU };
    return this.knownHostSize;
  }

  private async hasImage(image: string): Promise<boolean> {
    const known = this.imagePresence.get(image);
    if (known !== undefined) return known;
    const found = (await this.images.inspect(image)) !== undefined;
    this.imagePresence.set(image, found);
    return found;
  }

  /**
   * Whether this host has all volumes of these names.
   * @throws AppError ENGINE_UNREACHABLE
   */
  async hasVolumes(names: string[]): Promise<boolean> {
    if (names.length === 0) return true;
    const volumes = await this.engine.listVolumes();
    return names.every((name) => volumes.some((volume) => volume.Name === name));
  }

  /** @returns the first name that is no network of this host */
  private async missingNetwork(names: string[]): Promise<string | undefined> {
    if (names.length === 0) return undefined;
    const networks = await this.engine.call((docker) => docker.listNetworks());
    return names.find((name) => !networks.some((network) => network.Name === name || network.Id.startsWith(name)));
  }

  /** @returns undefined if the container was removed since it was listed */
  private async reservation(id: string): Promise<Reservation | undefined> {
    const known = this.reservations.get(id);
    if (known) return known;
    try {
      const { HostConfig } = await this.engine.call((docker) => docker.getContainer(id).inspect());
      const quota = HostConfig.CpuQuota && HostConfig.CpuPeriod ? HostConfig.CpuQuota / HostConfig.CpuPeriod : 0;
      const reservation = { memory: HostConfig.Memory ?? 0, cpus: (HostConfig.NanoCpus ?? 0) / 1e9 || quota };
      this.reservations.set(id, reservation);
      return reservation;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }
}
