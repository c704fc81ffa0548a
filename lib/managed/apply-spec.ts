import type { Access } from "../access/access";
import { assertImageLabels } from "../docker/containers/confinement";
import type { ContainerSummary } from "../docker/containers/container-summary";
import { confineNetwork } from "../docker/create/confine-spec";
import type { HostAccess } from "../docker/create/policy";
import type { DockerHost } from "../docker/docker-host";
import { isMadeNetwork } from "../docker/engine-networks";
import { AppError } from "../errors";
import { bootEntrypoint, findBootInterpreter } from "./app-folder";
import type { Compose } from "./compose";
import { composeDocument } from "./compose-document";
import { confiningLabels, type ManagedSpec } from "./managed-spec";

export interface ApplyOptions {
  /** The container replaces a running one: it is marked so that an interrupted replacement still starts it. */
  resume: boolean;
  /** Whether to start it; defaults to `resume`. */
  start?: boolean;
  /** Whether the image's boot interpreter must still be determined. */
  unknownImage: boolean;
  /** Whether this creates the container rather than replacing it. */
  first?: boolean;
  /** What the client may do. */
  access: Access;
  /** Seconds that the container which is replaced may take to stop. */
  stopSeconds?: number;
}

interface ApplyDeps {
  docker: DockerHost;
  compose: Compose;
  /** uid:gid; null for the image's own user */
  user: string | null;
}

/** What the container would have of the host beside its own volume. */
export function hostAccessOf({ volumes = {}, network }: Pick<ManagedSpec, "volumes" | "network">): HostAccess {
  return { volumes, network, privileged: false, devices: [], cap_add: [] };
}

const namedVolumes = ({ volumes = {} }: Pick<ManagedSpec, "volumes">) => Object.keys(volumes).filter((source) => !source.startsWith("/"));

/** Links in the paths of mounts, and the container behind a name, can change after the first check. */
const mustBeCheckedAgain = ({ volumes = {}, network }: ManagedSpec) =>
  Object.keys(volumes).length > 0 || network?.startsWith("container:") === true;

/**
 * Creates or replaces a managed container with Compose. The spec passes the policy here, wherever it came from: it may have been read from
 * a label. A failure leaves no volume behind that was made for it.
 * @returns the container
 * @throws AppError NOT_ALLOWED, REFUSED_BY_TOKEN, NAME_TAKEN and those of `Compose.up`
 */
export async function applySpec(deps: ApplyDeps, cuid: string, requested: ManagedSpec, options: ApplyOptions): Promise<ContainerSummary> {
  const { engine, confinement, guard } = deps.docker;
  const { access } = options;
  await guard.checkSpec(hostAccessOf(requested), access);
  const { labels } = access;
  const network = labels ? await confineNetwork(confinement, requested.network, labels) : requested.network;
  // The engine itself would refuse it only at the start.
  if (!labels && network !== undefined && isMadeNetwork(network)) await confinement.networkId(network, {});
  const spec = network === undefined ? requested : { ...requested, network };
  // Compose would own a volume that it creates, and remove it with the container.
  const made = await confinement.ensureVolumes(namedVolumes(spec), labels ?? {});
  try {
    return await composeUp(deps, cuid, spec, options);
  } catch (error) {
    const remove = (name: string) => engine.call((docker) => docker.getVolume(name).remove());
    await Promise.all(made.map((name) => remove(name).catch(() => undefined)));
    throw error;
  }
}

async function composeUp(
  { docker, compose, user }: ApplyDeps,
  cuid: string,
  spec: ManagedSpec,
  options: ApplyOptions,
): Promise<ContainerSummary> {
  const { engine, containers, guard, confinement } = docker;
  const start = options.start ?? options.resume;
  const image = await engine.call((client) => client.getImage(spec.image).inspect());
  const ofImage: Record<string, string> = image.Config?.Labels ?? {};
  assertImageLabels(ofImage, confiningLabels(spec));
  const imageCommand = [image.Config?.Entrypoint ?? [], image.Config?.Cmd ?? []].flat();
  const document = (boot: string) => {
    const booted = { ...spec, boot };
    return composeDocument(cuid, booted, {
      entrypoint: bootEntrypoint(booted, imageCommand),
      user: user ?? undefined,
      resume: options.resume,
      imageLabels: Object.keys(ofImage),
    });
  };
  const up = async (boot: string, upOptions: { start: boolean }) => {
    // Compose uses a volume of that name that exists already, whatever its options are.
    await guard.findVolumes([cuid], "cuid");
    const work = () => compose.up(cuid, document(boot), { ...upOptions, stopSeconds: options.stopSeconds });
    await (options.first ? work() : containers.whileReplacing([cuid, ...(spec.name === undefined ? [] : [spec.name])], work));
    containers.invalidate();
    return containers.find(cuid, { prefix: false });
  };
  // The interpreter can be looked up only in a created container: create it, look, and replace it if the guess was wrong.
  const lookUpBoot = options.unknownImage && spec.command === undefined;
  const checkAgain = mustBeCheckedAgain(spec);
  let { boot } = spec;
  let container = await up(boot, { start: start && !lookUpBoot && !checkAgain });
  if (lookUpBoot) {
    boot = await findBootInterpreter(engine, container.id);
    if (boot !== spec.boot) container = await up(boot, { start: start && !checkAgain });
  }
  if (checkAgain) {
    if (start) await guard.checkStart(container.id, options.access);
    for (const name of namedVolumes(spec)) {
      if (!(await confinement.hasVolume(name, options.access.labels ?? {}))) throw new AppError("NAME_TAKEN", { details: { name } });
    }
  }
  return start && (lookUpBoot || checkAgain) ? up(boot, { start: true }) : container;
}
