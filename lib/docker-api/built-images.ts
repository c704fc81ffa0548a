import { imageParts } from "../access/image-patterns";
import { holdersIn } from "./affinity-nodes";
import type { DockerCall } from "./call";
import type { Nodes } from "./nodes";

/** Finds the nodes of images that were built: what is built again, or used with them, goes there while these nodes take work. */
export class BuiltImages {
  /** @param rankNodes the names of the nodes that take work, the best first */
  constructor(
    private readonly nodes: Nodes,
    private readonly rankNodes: (call: DockerCall) => Promise<string[]>,
  ) {}

  /**
   * The nodes that take a build, the best first: those that have its image, so that no other keeps an old one of this name; then those with
   * another image of its Compose project; then all others.
   */
  async rankForBuild(call: DockerCall): Promise<string[]> {
    const names = call.query.getAll("t").map((tag) => imageParts(tag).repository);
    const [ranked, own, ofProject] = await Promise.all([
      this.rankNodes(call),
      this.holders(call.query.getAll("t"), call),
      this.holders(names.flatMap(projectsOf).map(imagesOf), call),
    ]);
    return [...new Set([own, ofProject, ranked].flatMap((holders) => ranked.filter((node) => holders.includes(node))))];
  }

  /** The nodes that take work and have images of a Compose project; undefined if there are none. */
  async nodesOf(project: string | undefined, call: DockerCall): Promise<string[] | undefined> {
    if (project === undefined || !this.nodes.poolFor(call.access)) return undefined;
    const [ranked, holders] = await Promise.all([this.rankNodes(call), this.holders([imagesOf(project)], call)]);
    const nodes = ranked.filter((node) => holders.includes(node));
    return nodes.length > 0 ? nodes : undefined;
  }

  /** @param references of images, which may have asterisks */
  private async holders(references: string[], call: DockerCall): Promise<string[]> {
    if (references.length === 0) return [];
    const query = new URLSearchParams({ filters: JSON.stringify({ reference: references }) });
    return holdersIn(await this.nodes.askAll({ method: "GET", segments: ["images", "json"], query }, call));
  }
}

/** Compose names the image of a service that it builds PROJECT-SERVICE. */
const imagesOf = (project: string) => `${project}-*`;

/** The projects that an image may be of: both names may have dashes. */
function projectsOf(name: string): string[] {
  const parts = name.split("-");
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join("-"));
}
