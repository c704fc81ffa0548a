import path from "node:path";
import type { ContainerInspectInfo, VolumeInspectInfo } from "dockerode";
import { Access } from "../../access/access";
import { AppError, isNotFound } from "../../errors";
import type { Engine } from "../engine";
import { joinedContainer } from "../engine-networks";
import {
  boundFolder,
  checkPolicy,
  checkVolumeOptions,
  type HostAccess,
  isInside,
  lookUp,
  type Policy,
  RUN_CONTAINER_PREFIX,
} from "./policy";

/** The engine can be started anew with another data root. */
const ENGINE_FOLDER_CACHE_MS = 60_000;

/** A mount of a container, as the engine reports it. */
interface Mount {
  Type?: string;
  Name?: string | undefined;
  Source: string;
  RW: boolean;
}

/**
 * Applies the policy where the engine must be asked: to volumes, to containers whose namespaces are joined, and to existing containers
 * before they are started or entered.
 */
export class PolicyGuard {
  private engineFolder: { path: Promise<string | undefined>; at: number } | undefined;

  constructor(
    private readonly engine: Engine,
    private readonly policy: Policy,
  ) {}

  /**
   * The policy with the engine's folder.
   * @param access of a client, whose token counts too
   * @throws AppError ENGINE_UNREACHABLE
   */
  async current(access?: Access): Promise<Policy> {
    if (!this.engineFolder || performance.now() - this.engineFolder.at > ENGINE_FOLDER_CACHE_MS) {
      const info = this.engine.call((docker) => docker.info()) as Promise<{ DockerRootDir?: string }>;
      const engineFolder = { path: info.then(({ DockerRootDir }) => DockerRootDir || undefined), at: performance.now() };
      this.engineFolder = engineFolder;
      engineFolder.path.catch(() => {
        if (this.engineFolder === engineFolder) this.engineFolder = undefined;
      });
    }
    return { ...this.policy, engineFolder: await this.engineFolder.path, ...(access && { access }) };
  }

  /**
   * Refuses options of a new container that give it control of the host, by itself or by a volume or a container that it names.
   * @param access what the client may do
   * @throws AppError NOT_ALLOWED or REFUSED_BY_TOKEN naming the field
   */
  async checkSpec(spec: HostAccess, access: Access): Promise<void> {
    // What needs no answer of the engine is refused first.
    checkPolicy(spec, { ...this.policy, access });
    await this.engine.assertAlive();
    await this.checkAccess(spec, await this.current(access), new Set());
  }

  /**
   * Finds volumes by name and refuses those whose options reach forbidden folders or devices of the host.
   * @param field name for the error
   * @param access of a client, whose token counts too
   * @returns the volumes that exist
   * @throws AppError NOT_ALLOWED, REFUSED_BY_TOKEN
   */
  async findVolumes(names: string[], field: string, access?: Access): Promise<VolumeInspectInfo[]> {
    return names.length === 0 ? [] : this.findVolumesBy(await this.current(access), names, field);
  }

  /**
   * To be called directly before a container is started: links in the paths of its mounts, and the containers that it joins, may have
   * changed since it was created. With `bindRoots`, and for tokens that may mount some folders, also refuses folders that are looked up in
   * one that another container can write, and the reverse: links there could lead the mount to any folder, also when the engine restarts
   * the container.
   * @param container full id, or what the engine has just told of it
   * @param access of the client
   * @param options.ofRun whether the container's own run starts it: nothing else may
   * @throws AppError NOT_ALLOWED, CONTAINER_NOT_FOUND
   */
  async checkStart(container: string | ContainerInspectInfo, access: Access, { ofRun } = { ofRun: false }): Promise<void> {
    const info = await this.inspect(container);
    if (!ofRun && isRunContainer(nameOf(info))) throw runContainerError(nameOf(info));
    await this.checkContainer(info, "id", await this.current(), new Set());
    await this.checkNesting(info, access);
  }

  /**
   * To be called before a command is executed in a container or its files are read or written: entering a container gives what it has of
   * the host.
   * @param container full id, or what the engine has just told of it
   * @param access of the client; only needed for a container that may not run
   * @throws AppError NOT_ALLOWED, CONTAINER_NOT_FOUND
   */
  async checkEntry(container: string | ContainerInspectInfo, access = Access.full): Promise<void> {
    const info = await this.inspect(container);
    // Before and after its run, such a container holds volumes that are mounted elsewhere.
    if (isRunContainer(nameOf(info)) && !info.State.Running) throw runContainerError(nameOf(info));
    await this.checkContainer(info, "id", await this.current(), new Set());
    // For the files of a container that doesn't run, the engine mounts its volumes anew.
    if (!info.State.Running) await this.checkNesting(info, access);
  }

  private async checkContainer(info: ContainerInspectInfo, field: string, policy: Policy, seen: Set<string>): Promise<void> {
    try {
      await this.checkAccess(accessOf(info, policy), policy, seen);
    } catch (error) {
      if (!(error instanceof AppError && error.code === "NOT_ALLOWED")) throw error;
      const message = `${field}: the container ${nameOf(info)} has what the policy refuses: ${error.message}`;
      throw new AppError("NOT_ALLOWED", { message, details: { ...error.details, field } });
    }
  }

  /** @param seen containers that were judged already: containers can join each other in a circle */
  private async checkAccess(access: HostAccess, policy: Policy, seen: Set<string>): Promise<void> {
    checkPolicy(access, policy);
    const volumeNames = Object.keys(access.volumes).filter((source) => !source.startsWith("/"));
    if (volumeNames.length > 0) await this.findVolumesBy(policy, volumeNames, "volumes");
    const namespaces = (["network", "pid", "ipc"] as const).flatMap((kind) => {
      const joined = joinedContainer(access[kind]);
      return joined === undefined ? [] : [[kind, joined] as const];
    });
    const sources = (access.volumesFrom ?? []).map((source) => ["volumes_from", source] as const);
    for (const [kind, joined] of [...namespaces, ...sources]) {
      const info = await this.inspect(joined).catch((error: AppError) => {
        if (!isNotFound(error)) throw error;
      });
      // The engine itself refuses to create or start what joins a container that is gone.
      if (!info) continue;
      const key = `${kind} ${info.Id}`;
      if (seen.has(key)) continue;
      seen.add(key);
      // Another process shows its files by /proc/PID/root; a network or an IPC namespace gives neither files nor devices.
      const givesFiles = kind === "pid" || kind === "volumes_from";
      await this.checkContainer(info, kind, givesFiles ? policy : namespacePolicy(policy), seen);
    }
  }

  private async findVolumesBy(policy: Policy, names: string[], field: string): Promise<VolumeInspectInfo[]> {
    // The engine's filter also matches parts of names.
    const all = await this.engine.listVolumes({ name: names });
    const found = all.filter(({ Name }) => names.includes(Name));
    for (const { Driver, Options } of found) checkVolumeOptions(Driver, Options ?? {}, policy, () => field);
    return found;
  }

  private async checkNesting({ Id, Mounts }: ContainerInspectInfo, access: Access): Promise<void> {
    if (Mounts.length === 0 || (this.policy.bindRoots.length === 0 && !access.listsHostPaths)) return;
    const volumes = await this.engine.listVolumes();
    const bound = new Map(volumes.flatMap(({ Name, Options }) => [[Name, boundFolder(Options ?? {})] as const]));
    const hostMounts = (mounts: readonly Mount[]) =>
      mounts.flatMap((mount) => {
        const source = mount.Type === "volume" ? bound.get(mount.Name ?? "") : mount.Type === "bind" ? mount.Source : undefined;
        return source === undefined ? [] : [{ source, ...lookUp(source), isWritable: mount.RW }];
      });
    const own = hostMounts(Mounts);
    if (own.length === 0) return;
    const containers = await this.engine.call((docker) => docker.listContainers({ all: true }));
    const others = containers.filter((each) => each.Id !== Id).flatMap((each) => hostMounts(each.Mounts));
    for (const mount of own) {
      for (const other of [...own, ...others]) {
        for (const [inner, outer] of [[mount, other] as const, [other, mount] as const]) {
          // Where a path leads now proves nothing, if a container writes a folder in which a part of it is looked up.
          if (outer.isWritable && inner.folders.some((folder) => isInside(folder, outer.target)))
            throw nestingError(inner.source, outer.source);
        }
      }
    }
  }

  private async inspect(container: string | ContainerInspectInfo): Promise<ContainerInspectInfo> {
    return typeof container === "string" ? this.engine.call((docker) => docker.getContainer(container).inspect()) : container;
  }
}

/** Whether a container or a volume belongs to a run, by its name. */
export function isRunContainer(name: string): boolean {
  return name.startsWith(RUN_CONTAINER_PREFIX);
}

/** The 403 for a request about a container of a run that only its run may do. */
export function runContainerError(name: string): AppError {
  return new AppError("NOT_ALLOWED", {
    message: `The container ${name} belongs to a run, which alone may start it, rename it or change its files`,
    details: { field: "id" },
  });
}

const nameOf = ({ Name }: ContainerInspectInfo) => Name.replace(/^\//, "");

/** The policy for a joined network or IPC namespace. */
function namespacePolicy({ access: _, ...policy }: Policy): Policy {
  return { ...policy, allow: [...policy.allow, "privileged", "devices", "capabilities"], bindRoots: [] };
}

/** What an existing container has of the host. The read-only contents of its run are left out: nothing but the run writes them. */
function accessOf({ HostConfig, Mounts }: ContainerInspectInfo, policy: Policy): HostAccess {
  const { Privileged, Devices, CapAdd, NetworkMode, PidMode, IpcMode, UTSMode, UsernsMode } = HostConfig;
  const runVolumes = `${path.posix.join(policy.engineFolder ?? "/", "volumes", RUN_CONTAINER_PREFIX)}`;
  const mounts = Mounts.filter(({ Type, Source, RW }) => !(Type === "bind" && !RW && Source.startsWith(runVolumes)));
  return {
    privileged: Privileged ?? false,
    devices: (Devices ?? []).map(({ PathOnHost }: { PathOnHost: string }) => PathOnHost),
    cap_add: CapAdd ?? [],
    volumes: Object.fromEntries(
      mounts.map(({ Type, Name, Source, Destination }) => [Type === "volume" ? (Name ?? "") : Source, Destination]),
    ),
    network: NetworkMode,
    pid: PidMode,
    ipc: IpcMode,
    uts: UTSMode,
    userns: UsernsMode,
  };
}

function nestingError(inner: string, outer: string): AppError {
  return new AppError("NOT_ALLOWED", {
    message: `volumes: ${inner} lies below ${outer}, which a container can write and so could put a link there; mount ${outer} read-only, or ${inner} alone`,
    details: { field: "volumes", outer },
  });
}
