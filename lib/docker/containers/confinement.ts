import { LRUCache } from "lru-cache";
import { AppError, isNotFound } from "../../errors";
import type { Engine } from "../engine";
import { type ContainerList, type ContainerSummary, imageIdOf, type Matches, onlyMatch } from "./container-list";

/** The labels that confine a token. */
export type ConfiningLabels = Readonly<Record<string, string>>;

/** The containers, volumes and networks of this host that have certain labels. */
export class Confinement {
  /** Labels of images by id; an image never changes. */
  private readonly imageLabels = new LRUCache<string, Record<string, string>>({ max: 500 });

  constructor(
    private readonly engine: Engine,
    private readonly containers: ContainerList,
  ) {}

  /** The containers that have all labels themselves. */
  async filter(containers: readonly ContainerSummary[], labels: ConfiningLabels): Promise<ContainerSummary[]> {
    const kept = await Promise.all(containers.filter((each) => hasLabels(each.labels, labels)).map((each) => this.keep(each, labels)));
    return kept.flat();
  }

  // A container has the labels of its image too. Whoever made the image must not decide who may use the container.
  private async keep(container: ContainerSummary, labels: ConfiningLabels): Promise<ContainerSummary[]> {
    const ofImage = await this.labelsOfImage(imageIdOf(container));
    return ofImage && !sharesLabel(ofImage, labels) ? [container] : [];
  }

  /** The containers that count for a quota: as `filter`, and those whose image is gone, which may be nobody's. */
  async filterCounted(containers: readonly ContainerSummary[], labels: ConfiningLabels): Promise<ContainerSummary[]> {
    const ofImages = await Promise.all(containers.map((each) => this.labelsOfImage(imageIdOf(each))));
    return containers.filter((each, index) => hasLabels(each.labels, labels) && !sharesLabel(ofImages[index] ?? {}, labels));
  }

  /** @returns undefined if the image is gone, so that its labels can't be known */
  private async labelsOfImage(id: string): Promise<Record<string, string> | undefined> {
    const known = this.imageLabels.get(id);
    if (known) return known;
    try {
      const { Config } = await this.engine.call((docker) => docker.getImage(id).inspect());
      const found = Config?.Labels ?? {};
      this.imageLabels.set(id, found);
      return found;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /**
   * As `findMatches` of the list, among the containers that have the labels.
   * @throws AppError ENGINE_UNREACHABLE
   */
  async findMatches(id: string, labels: ConfiningLabels): Promise<Matches> {
    const { exact, prefix } = await this.containers.findMatches(id);
    return { exact: await this.filter(exact, labels), prefix: await this.filter(prefix, labels) };
  }

  /**
   * The full id of the one container that is meant.
   * @throws AppError CONTAINER_NOT_FOUND, as for one that doesn't exist; AMBIGUOUS_ID
   */
  async containerId(id: string, labels: ConfiningLabels, options: { prefix: boolean }): Promise<string> {
    return onlyMatch(id, await this.findMatches(id, labels), options).id;
  }

  /** Whether this host has a volume with this name and these labels. */
  async hasVolume(name: string, labels: ConfiningLabels): Promise<boolean> {
    const found = await this.volumeLabels(name);
    return found !== undefined && hasLabels(found, labels);
  }

  /** @throws AppError VOLUME_NOT_FOUND, as for one that doesn't exist */
  async assertVolume(name: string, labels: ConfiningLabels): Promise<void> {
    if (!(await this.hasVolume(name, labels))) throw new AppError("VOLUME_NOT_FOUND", { message: `No such volume: ${name}` });
  }

  /**
   * Makes sure that volumes have the labels, and creates those that don't exist: the engine would create them without labels.
   * @returns the names of those it has created
   * @throws AppError NAME_TAKEN if one exists without the labels
   */
  async ensureVolumes(names: readonly string[], labels: ConfiningLabels): Promise<string[]> {
    const created: string[] = [];
    for (const name of names) {
      if ((await this.volumeLabels(name)) === undefined) {
        await this.engine.createVolume({ Name: name, Labels: { ...labels } }, "create");
        created.push(name);
      }
      // After the creation: another client may have made it meanwhile, and the engine answers the existing one then.
      if (!(await this.hasVolume(name, labels)))
        throw new AppError("NAME_TAKEN", {
          message: `The volume ${name} has not the token's labels: choose another name`,
          details: { name },
        });
    }
    return created;
  }

  private async volumeLabels(name: string): Promise<Record<string, string> | undefined> {
    const found = (await this.engine.listVolumes({ name: [name] })).find(({ Name }) => Name === name);
    return found && (found.Labels ?? {});
  }

  /**
   * The id of a network with these labels, by its id, its name, or the first digits of its id if no other such network has them.
   * @throws AppError INVALID_SPEC, as Docker answers for one that doesn't exist
   */
  async networkId(name: string, labels: ConfiningLabels): Promise<string> {
    const all = await this.engine.call((docker) => docker.listNetworks());
    const networks = all.filter(({ Labels }) => hasLabels(Labels ?? {}, labels));
    const byDigits = networks.filter(({ Id }) => name !== "" && Id.startsWith(name));
    const [onlyByDigits] = byDigits.length === 1 ? byDigits : [];
    const found = networks.find(({ Id }) => Id === name) ?? networks.find(({ Name }) => Name === name) ?? onlyByDigits;
    if (found) return found.Id;
    throw new AppError("INVALID_SPEC", { message: `network ${name} not found`, details: { field: "network" } });
  }

  /**
   * Checks a container that was created for a token and not started yet: what counts is what the engine made of it.
   * @param own the labels that it was created with
   * @param volumes named volumes that it mounts
   * @throws AppError INVALID_INPUT if its image carries a label that would be taken for the container's own
   */
  async assertMade(id: string, own: ConfiningLabels, labels: ConfiningLabels, volumes: readonly string[]): Promise<void> {
    const { Config, Image } = await this.engine.call((docker) => docker.getContainer(id).inspect());
    const ofImage = (await this.labelsOfImage(Image)) ?? {};
    assertImageLabels(ofImage, labels);
    const made = Config.Labels ?? {};
    const foreign = Object.keys(made).find((key) => isReservedLabel(key) && made[key] !== "" && made[key] !== own[key]);
    if (!hasLabels(made, labels) || foreign !== undefined) throw new AppError("INTERNAL", { cause: `container ${id} has not its labels` });
    for (const name of volumes) if (!(await this.hasVolume(name, labels))) throw new AppError("NAME_TAKEN", { details: { name } });
  }

  /**
   * Labels that undo those of an image which this server or Compose would act on.
   * @param image a reference of this host
   */
  async labelsToClear(image: string): Promise<Record<string, string>> {
    const { Config } = await this.engine.call((docker) => docker.getImage(image).inspect());
    return Object.fromEntries(Object.keys(Config?.Labels ?? {}).flatMap((key) => (isReservedLabel(key) ? [[key, ""]] : [])));
  }
}

/** Whether this server or Compose acts on a label. */
export const isReservedLabel = (key: string) => /^(?:docker-server|com\.docker)\./.test(key);

/**
 * Refuses an image that carries a label of the token with the same value: the container's own label could not be told from it.
 * @throws AppError INVALID_INPUT
 */
export function assertImageLabels(ofImage: Readonly<Record<string, string>>, labels: ConfiningLabels): void {
  if (!sharesLabel(ofImage, labels)) return;
  throw new AppError("INVALID_INPUT", {
    clientCode: "INVALID_IMAGE",
    message: "image carries a label itself that confines the token, which would not count then",
    details: { field: "image" },
  });
}

function sharesLabel(ofImage: Readonly<Record<string, string>>, labels: ConfiningLabels): boolean {
  return Object.entries(labels).some(([key, value]) => Object.hasOwn(ofImage, key) && ofImage[key] === value);
}

/** Whether all labels are among these. */
export function hasLabels(found: Readonly<Record<string, string>>, labels: ConfiningLabels): boolean {
  return Object.entries(labels).every(([key, value]) => Object.hasOwn(found, key) && found[key] === value);
}
