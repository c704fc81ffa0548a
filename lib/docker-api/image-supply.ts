import { LRUCache } from "lru-cache";
import { imageParts } from "../access/image-patterns";
import { registryOf } from "../docker/images/registry-login";
import type { DockerCall } from "./call";
import type { Nodes } from "./nodes";

/** A client pulls an image, then creates containers of it: how long the credentials of the pull count for these. */
const CREDENTIALS_TTL_MS = 60_000;
const PULL_TIMEOUT_MS = 2 ** 31 - 1;

/** Lets the node that a container is bound to pull its image, where only other nodes have it. */
export class ImageSupply {
  /** X-Registry-Auth of recent pulls, by client and registry */
  private readonly credentials = new LRUCache<string, string>({ max: 1000, ttl: CREDENTIALS_TTL_MS });

  constructor(private readonly nodes: Nodes) {}

  /** To be called with every pull of a client. */
  remember(call: DockerCall): void {
    const auth = call.request.headers["x-registry-auth"];
    const image = call.query.get("fromImage");
    if (typeof auth === "string" && image !== null) this.credentials.set(keyOf(call, image), auth);
  }

  /**
   * Pulls an image to a node, as far as the client may.
   * @param image a reference
   * @returns whether the node has it now
   */
  async bring(image: string, node: string, call: DockerCall): Promise<boolean> {
    const { name, tag } = splitReference(image);
    const query = new URLSearchParams({ fromImage: name, tag });
    const platform = call.query.get("platform");
    if (platform) query.set("platform", platform);
    const auth = this.credentials.get(keyOf(call, name));
    const question = {
      method: "POST",
      segments: ["images", "create"],
      query,
      headers: auth === undefined ? {} : { "x-registry-auth": auth },
    };
    const { status, body } = await this.nodes.ask(node, question, call, PULL_TIMEOUT_MS);
    // An error after the head is the last line of the progress.
    return status === 200 && !/^\{"error/m.test(body.toString());
  }
}

/** The message of a container that can't be created, because its image is not where all else that it uses is. */
export function notBrought(image: string, node: string): string {
  const remedy = "push it to a registry, or remove the networks and volumes (docker compose down -v) and build it again";
  return `image ${image} can't be pulled to node ${node}, which has all else that the container uses: ${remedy}`;
}

const keyOf = ({ access, response }: DockerCall, image: string) =>
  JSON.stringify([access.key, response.locals.identity, registryOf(image)]);

/** The repository of a reference, and its tag or digest. */
export function splitReference(image: string): { name: string; tag: string } {
  const { repository, tag, digest } = imageParts(image);
  return { name: repository, tag: digest ?? tag ?? "latest" };
}
