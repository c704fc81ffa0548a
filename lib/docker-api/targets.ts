import { AppError, invalidField } from "../errors";
import { parseStrictJson } from "./bodies/strict-json";
import type { DockerCall } from "./call";
import { engineError } from "./errors";
import type { Located, Nodes } from "./nodes";

type Target = { node: string; id: string | undefined };

/** Decides which node a request that one engine carries out goes to. */
export class Targets {
  constructor(
    private readonly nodes: Nodes,
    private readonly rankNodes: (call: DockerCall) => Promise<string[]>,
  ) {}

  /**
   * @param raw the body, of a row whose body is read
   * @returns the nodes to try in this order
   * @throws AppError with the engine's own status and text
   */
  async of(call: DockerCall, raw: Buffer | undefined): Promise<Target[]> {
    const { row, id } = call;
    const { where } = row;
    if (!this.nodes.poolFor(call.access)) return [{ node: this.nodes.nodeName, id }];
    if (row.check === "link") return [await this.linkTarget(call, id ?? "")];
    if (where.at === "owner") return [await this.nodes.locate(where.of, id ?? "", call)];
    if (where.at === "best") return (await this.rankNodes(call)).map((node) => ({ node, id }));
    if (where.at !== "special") throw new AppError("INTERNAL", { cause: `no node for ${row.path}` });
    if (where.name === "commit") return [await this.commitTarget(call)];
    if (where.name === "connect") return [await this.connectTarget(call, id ?? "", raw)];
    return [await this.saveTarget(call)];
  }

  /** A link is where its container is, and the engine knows it by the name of that. */
  private async linkTarget(call: DockerCall, id: string): Promise<Target> {
    const { node } = await this.nodes.locate("container", id.slice(0, id.lastIndexOf("/")), call);
    return { node, id };
  }

  private async commitTarget(call: DockerCall): Promise<Target> {
    const { node } = await this.nodes.locate("container", call.query.get("container") ?? "", call);
    return { node, id: undefined };
  }

  /** A container and a network are connected where both are. */
  private async connectTarget(call: DockerCall, network: string, raw: Buffer | undefined): Promise<Target> {
    const body = parseStrictJson(raw ?? Buffer.alloc(0)) as { Container?: unknown } | null;
    const Container = body?.Container;
    if (typeof Container !== "string") throw invalidField("Container", "must be the name or id of a container");
    const { found, missing } = await this.nodes.holders("network", network, call);
    if (found.length === 0 && missing.length > 0) throw engineError(503, `node ${missing[0]?.node} is unreachable`);
    if (found.length === 0) throw engineError(404, `network ${network} not found`);
    const holders = found.map(({ node }) => node);
    const container: Located | undefined = await this.nodes.locate("container", Container, call);
    if (holders.includes(container.node)) return { node: container.node, id: network };
    throw engineError(409, `container ${Container} is on the node ${container.node}, and network ${network} on ${holders.join(", ")}`);
  }

  private async saveTarget(call: DockerCall): Promise<Target> {
    let common: string[] | undefined;
    for (const name of call.query.getAll("names")) {
      const { found } = await this.nodes.holders("image", name, call);
      if (found.length === 0) throw engineError(404, `No such image: ${name}`);
      const holders = found.map(({ node }) => node);
      common = common?.filter((node) => holders.includes(node)) ?? holders;
    }
    if (common?.[0] === undefined) throw engineError(409, "No node has all of these images");
    return { node: common[0], id: undefined };
  }
}
