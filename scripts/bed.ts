import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { killProcesses, removeCgroup, unmountBelow } from "./bed-cleanup";
import { withLock } from "./bed-lock";
import { BedNetwork } from "./bed-network";

const LAST_HOST = 250;

/** A file of every place: the identity of the process at whose end the place is removed. */
const OWNER = "owner";
/** A file of a host that can be leased: the identity of the lessee; empty while the host is free. */
const LEASE = "lease";
/** A file of a host that can be leased: what kind of host it is. */
const KIND = "kind";

/** A folder of a bed that belongs to this process. */
export interface Place {
  folder: string;
  /** Ends every process of the place and removes its folder, mounts, cgroups and network. Safe to call twice. */
  release(): Promise<void>;
}

/** A place for a simulated host with its own network; its address is `network.hostAddress(host)`. */
export interface HostPlace extends Place {
  host: number;
}

/** A host that can outlive its lease. */
export interface LeasedHost extends HostPlace {
  /** Ends the lease: the next lease can get the host with its contents. `release` removes the host instead. */
  handBack(): Promise<void>;
}

export interface BedNames {
  /** Name of the bed's folder, cgroup and lock. */
  name: string;
  /** Prefix of the names in its network; 9 characters at most. */
  prefix: string;
  /** The first three numbers of its addresses. */
  net: string;
}

/** Simulated hosts and other services on this machine, shared by several processes. Beds with different names are independent. */
export class Bed {
  readonly network: BedNetwork;
  /** Holds every file of the bed; removed with its last place. */
  readonly folder: string;
  // Another process may have taken a released number or name, so only the places in this set are removed.
  private readonly ownPlaces = new Set<string>();

  constructor(private readonly names: BedNames) {
    this.network = new BedNetwork(names.prefix, names.net);
    this.folder = path.join("/var/tmp", names.name);
  }

  /** The cgroup that holds all containers of host N. */
  cgroupOf(host: number): string {
    return `/${this.names.name}/${host}`;
  }

  /** Runs `work` while no other process changes the bed. Not reentrant. */
  withLock<T>(work: () => T | Promise<T>): Promise<T> {
    return withLock(this.names.name, work);
  }

  /**
   * Takes a folder for a service of the bed, for instance `registry`, and creates the bridge if needed.
   * A process with the folder as working folder or in its command line is killed with the place: at `release`, when this
   * process exits, or at the latest when the next process takes a place.
   */
  takePlace(kind: string): Promise<Place> {
    return this.withLock(() => {
      this.prepare();
      return this.place(mkdtempSync(path.join(this.folder, `${kind}-`)));
    });
  }

  /** Like `takePlace`, for a simulated host: with the lowest free number (1 to 250), and its network. */
  takeHost(): Promise<HostPlace> {
    return this.withLock(() => {
      this.prepare();
      const { host, folder } = this.makeHost(process.pid);
      return { ...this.place(folder), host };
    });
  }

  /**
   * Leases a host that stays up after the lease: one of the same kind that an earlier lease handed back, or else a new one. `owner` is
   * the id of a process that outlives the lessees; `removeHostsOf` or the first sweep after its end removes the host.
   */
  leaseHost(owner: number, kind: string): Promise<LeasedHost> {
    return this.withLock(() => {
      this.prepare();
      for (const folder of this.places()) {
        if (hostOf(folder) === undefined || !existsSync(path.join(folder, LEASE)) || read(path.join(folder, OWNER)) !== identity(owner))
          continue;
        const lessee = read(path.join(folder, LEASE));
        if (lessee === "" && read(path.join(folder, KIND)) === kind) return this.lease(folder);
        if (lessee === "") continue;
        // The lessee ended without handing the host back, so its contents are unknown.
        if (lessee !== identity(Number(lessee.split(" ")[0]))) this.removeTracesOf(folder);
      }
      const { folder } = this.makeHost(owner);
      writeFileSync(path.join(folder, KIND), kind);
      return this.lease(folder);
    });
  }

  /** Removes the hosts that were leased for an owner, whether handed back or not. */
  removeHostsOf(owner: number): Promise<void> {
    return this.withLock(() => {
      for (const folder of this.places()) {
        if (existsSync(path.join(folder, LEASE)) && read(path.join(folder, OWNER)) === identity(owner)) this.removeTracesOf(folder);
      }
      this.sweepLocked();
    });
  }

  /** Removes the places of ended processes, and the bed itself if no place is left. Taking a place does so too. */
  sweep(): Promise<void> {
    return this.withLock(() => this.sweepLocked());
  }

  private prepare(): void {
    this.sweepLocked();
    mkdirSync(this.folder, { recursive: true });
    this.network.addBridge();
  }

  private makeHost(owner: number): { host: number; folder: string } {
    const host = this.freeHost();
    const folder = path.join(this.folder, `host-${host}`);
    mkdirSync(folder);
    try {
      this.network.addHost(host);
    } catch (error) {
      this.removeTracesOf(folder);
      throw error;
    }
    writeFileSync(path.join(folder, OWNER), identity(owner));
    return { host, folder };
  }

  private lease(folder: string): LeasedHost {
    const file = path.join(folder, LEASE);
    writeFileSync(file, identity(process.pid));
    return {
      folder,
      host: hostOf(folder) as number,
      handBack: () => this.withLock(() => writeFileSync(file, "")),
      release: () => this.withLock(() => this.removeTracesOf(folder)),
    };
  }

  private freeHost(): number {
    const taken = new Set(readdirSync(this.folder));
    for (let host = 1; host <= LAST_HOST; host++) if (!taken.has(`host-${host}`)) return host;
    throw new Error(`all ${LAST_HOST} hosts are in use; see ${this.folder}`);
  }

  private place(folder: string): Place {
    writeFileSync(path.join(folder, OWNER), identity(process.pid));
    if (this.ownPlaces.size === 0) process.once("exit", this.removeOwnPlaces);
    this.ownPlaces.add(folder);
    return { folder, release: () => this.withLock(() => this.release(folder)) };
  }

  private release(folder: string): void {
    if (!this.ownPlaces.has(folder)) return;
    this.removeTracesOf(folder);
    this.ownPlaces.delete(folder);
    if (this.ownPlaces.size === 0) process.off("exit", this.removeOwnPlaces);
    this.sweepLocked();
  }

  private readonly removeOwnPlaces = () => {
    for (const folder of this.ownPlaces) this.removeTracesOf(folder);
  };

  /** Removes the places of ended processes; if no place is left, the bridge and the whole bed too. */
  private sweepLocked(): void {
    for (const folder of this.places()) if (!ownerLives(folder)) this.removeTracesOf(folder);
    if (this.places().length > 0) return;
    this.network.removeBridge();
    removeCgroup(`/${this.names.name}`);
    rmSync(this.folder, { recursive: true, force: true });
  }

  private places(): string[] {
    try {
      const entries = readdirSync(this.folder, { withFileTypes: true });
      return entries.filter((entry) => entry.isDirectory()).map((entry) => path.join(this.folder, entry.name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw error;
    }
  }

  private removeTracesOf(folder: string): void {
    const host = hostOf(folder);
    if (host === undefined) {
      killProcesses({ folder });
    } else {
      killProcesses({ folder, netns: this.network.netnsFile(host), cgroup: this.cgroupOf(host) });
      unmountBelow(folder);
      removeCgroup(this.cgroupOf(host));
      this.network.removeHost(host);
    }
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The number of the host that a place is for; undefined if it is for something else. */
function hostOf(folder: string): number | undefined {
  const number = /\/host-(\d+)$/.exec(folder)?.[1];
  return number === undefined ? undefined : Number(number);
}

function ownerLives(folder: string): boolean {
  const owner = read(path.join(folder, OWNER));
  return owner !== "" && owner === identity(Number(owner.split(" ")[0]));
}

/** A file's text; empty if there is no such file. */
function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

/** A process id with its start time, because ids are reused; empty if there is no such process. */
function identity(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const startTime = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    return `${pid} ${startTime}`;
  } catch {
    return "";
  }
}
