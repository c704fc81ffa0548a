import { randomUUID } from "node:crypto";
import type { RoutedRequest } from "../cluster/routing/routed-request";
import type { MakePlan } from "../cluster/routing/where";
import { isRunContainer, runContainerError } from "../docker/create/policy-guard";
import type { DockerHost } from "../docker/docker-host";
import type { RawAnswer } from "../docker/raw-engine";
import { AppError } from "../errors";
import { Reply } from "../support/reply";
import { nodesFor } from "./affinity-nodes";
import { type Affinities, affinitiesOf, affinitiesOfLabels } from "./bodies/affinities";
import { confineCreate } from "./bodies/confine-create";
import { type CreateBody, parseCreateBody } from "./bodies/create-body";
import { judgeCreate } from "./bodies/judge-create";
import { type NetworkCreateBody, parseNetworkCreateBody } from "./bodies/network-bodies";
import { judgeVolumeCreate, parseVolumeCreateBody, type VolumeCreateBody } from "./bodies/volume-body";
import type { BuiltImages } from "./built-images";
import type { DockerCall } from "./call";
import { containerPlan, planOf } from "./create-needs";
import { engineError } from "./errors";
import { type ImageSupply, notBrought } from "./image-supply";
import type { LocalEngine } from "./local";
import type { Json } from "./merges";
import type { Nodes } from "./nodes";
import { placedRequest } from "./placed-request";
import { segmentsOf } from "./row";
import { sendReply } from "./send";
import { formatTarget } from "./target";

export interface CreatorDeps {
  docker: DockerHost;
  dispatch(request: RoutedRequest): Promise<Reply>;
}

/** Creates containers, networks and volumes: each on one node, and each name once in the pool. */
export class Creator {
  constructor(
    private readonly deps: CreatorDeps,
    private readonly local: LocalEngine,
    private readonly nodes: Nodes,
    private readonly images: ImageSupply,
    private readonly built: BuiltImages,
  ) {}

  /**
   * @param raw the body
   * @throws AppError of the body, of the policy and of the placement; 409 in the engine's words if the name is taken
   */
  async create(call: DockerCall, raw: Buffer | undefined): Promise<void> {
    const { where } = call.row;
    const name = where.at === "special" ? where.name : "";
    const reply = await (name === "createContainer"
      ? this.createContainer(call, raw)
      : name === "createNetwork"
        ? this.createNetwork(call, raw)
        : this.createVolume(call, raw));
    sendReply(call, reply);
  }

  private async createContainer(call: DockerCall, raw: Buffer | undefined): Promise<Reply> {
    const body = parseCreateBody(raw, this.local.bodyContext(call.access));
    const { quotas } = call.access;
    const givenName = call.query.get("name") || undefined;
    // What is claimed for a quota is known by the container's name.
    if (quotas.length > 0 && givenName === undefined) call.query.set("name", randomUUID());
    const name = call.query.get("name")?.replace(/^\//, "") ?? "";
    if (isRunContainer(name)) throw runContainerError(name);
    const nodes = call.fromPeer ? undefined : await this.place(call, affinitiesOf(body));
    if (!call.fromPeer && name !== "") await this.assertFree(call, "container", name);
    const reply = await this.dispatch(call, body, containerPlan(name, givenName, nodes), (planned) =>
      this.createContainerHere(call, planned as CreateBody, name),
    );
    const node = reply.headers["x-cluster-nodes"];
    // A node of an earlier version doesn't tell.
    if (reply.status === 201 && node !== undefined) this.nodes.remember((JSON.parse(String(reply.body)) as { Id: string }).Id, node);
    return reply;
  }

  private async createContainerHere(call: DockerCall, body: CreateBody, name: string): Promise<Reply> {
    const { docker } = this.deps;
    const { access } = call;
    access.assertRoute(call.row);
    access.assertNode(this.nodes.nodeName);
    const confined = await confineCreate(body, docker.confinement, access);
    await judgeCreate(confined.body, docker.guard, access);
    const volumes = access.labels ? await docker.confinement.ensureVolumes(confined.volumes, access.labels).catch(rethrowVolume) : [];
    const room = docker.quotas.open(name, access);
    let isMade = false;
    try {
      // The client does not see others' volumes on other nodes, which a name that it makes here would hide from their owners.
      for (const volume of volumes) await this.assertFreeElsewhere(call, "volume", volume);
      const answer = await this.claimed(call, "container", name, async (confirm) => {
        const made = await this.ask(call, confined.body);
        docker.containers.invalidate();
        // The engine's text has the id of the container, which may be another's.
        if (made.status === 409 && access.labels) throw takenError("container", name, UNKNOWN);
        if (made.status !== 201) return made;
        const { Id } = JSON.parse(made.body.toString()) as { Id: string };
        await this.orRemove(["containers", Id], async () => {
          // What counts is what the engine has made of it.
          if (access.labels)
            await docker.confinement.assertMade(Id, confined.body.Labels, access.labels, confined.volumes).catch(rethrowVolume);
          await docker.guard.checkEntry(Id, access);
          await confirm();
          await room.confirm();
        });
        isMade = true;
        return made;
      });
      const reply = toReply(answer);
      const nodeHeader = this.nodes.poolFor(access) ? { "x-cluster-nodes": this.nodes.nodeName } : {};
      return new Reply(reply.status, reply.body, { ...reply.headers, ...nodeHeader });
    } finally {
      room.close();
      if (!isMade) await Promise.all(volumes.map((volume) => this.local.ask("DELETE", ["volumes", volume]).catch(() => undefined)));
    }
  }

  private async createNetwork(call: DockerCall, raw: Buffer | undefined): Promise<Reply> {
    const body = parseNetworkCreateBody(raw, this.local.bodyContext(call.access));
    if (!call.fromPeer) await this.assertFree(call, "network", body.Name);
    return this.dispatch(call, body, await this.projectPlan(call, body), async (planned) => {
      call.access.assertNode(this.nodes.nodeName);
      const create = async (confirm: () => Promise<void>) => {
        const answer = await this.ask(call, planned);
        if (answer.status === 201) await this.orRemove(["networks", String((JSON.parse(answer.body.toString()) as Json).Id)], confirm);
        return answer;
      };
      return toReply(await this.claimed(call, "network", (planned as NetworkCreateBody).Name, create));
    });
  }

  private async createVolume(call: DockerCall, raw: Buffer | undefined): Promise<Reply> {
    const context = this.local.bodyContext(call.access);
    const body = parseVolumeCreateBody(raw, context);
    const name = body.Name ?? "";
    let plan = await this.projectPlan(call, body);
    if (name !== "" && !call.fromPeer && this.nodes.poolFor(call.access)) {
      // The engine answers the one that exists.
      const { found } = await this.nodes.holders("volume", name, call);
      const nodes = found.map(({ node }) => node);
      if (nodes.length > 1) throw engineError(409, `volume ${name} is on the nodes ${nodes.join(", ")}`);
      if (nodes.length === 1) plan = planOf(nodes);
    }
    return this.dispatch(call, body, plan, async (planned) => {
      call.access.assertNode(this.nodes.nodeName);
      judgeVolumeCreate(planned as VolumeCreateBody, { ...context, policy: await this.deps.docker.guard.current() });
      const existed = name !== "" && (await this.deps.docker.inventory.hasVolumes([name]));
      if (existed) {
        await this.assertOwnVolume(call, name);
        return toReply(await this.ask(call, planned));
      }
      const create = async (confirm: () => Promise<void>) => {
        const answer = await this.ask(call, planned);
        // The engine answers with the one that another client may have made meanwhile.
        if (answer.status === 201 && name !== "") await this.assertOwnVolume(call, name);
        if (answer.status === 201) await this.orRemove(["volumes", String((JSON.parse(answer.body.toString()) as Json).Name)], confirm);
        return answer;
      };
      return toReply(await this.claimed(call, "volume", name, create));
    });
  }

  /** @throws AppError 409 for a volume of this node without the labels of the client's token */
  private async assertOwnVolume({ access: { labels } }: DockerCall, name: string): Promise<void> {
    if (labels && !(await this.deps.docker.confinement.hasVolume(name, labels))) throw takenError("volume", name, this.nodes.nodeName);
  }

  /**
   * Renames a container on this node, if no other one has the name.
   * @param id the container's, as the engine finds it
   */
  async rename(call: DockerCall, id: string, passOn: () => Promise<void>): Promise<void> {
    const name = (call.query.get("name") ?? "").replace(/^\//, "");
    const own = await this.local.ask("GET", ["containers", id, "json"]);
    // The engine has its own words for the name that the container has already.
    if (name === "" || own.status !== 200 || (JSON.parse(own.body.toString()) as Json).Name === `/${name}`) return passOn();
    await this.claimed(call, "container", name, async (confirm) => {
      await confirm();
      await passOn();
    });
  }

  private async dispatch(call: DockerCall, body: object, plan: MakePlan, createHere: (body: object) => Promise<Reply>): Promise<Reply> {
    // On the port of the other nodes only paths with a version are the Docker API's.
    const version = call.version ?? (await this.deps.docker.rawEngine.versionFor(undefined));
    const url = call.fromPeer ? call.request.url : formatTarget(version, segmentsOf(call.row, undefined), withoutNode(call.query));
    return this.deps.dispatch(placedRequest(call, { url, body, plan, pinnedNode: call.query.get("node") || undefined, createHere }));
  }

  private ask({ row, query, version }: DockerCall, body: object): Promise<RawAnswer> {
    return this.local.ask("POST", segmentsOf(row, undefined), withoutNode(query), version, Buffer.from(JSON.stringify(body)));
  }

  /** A Compose project stays together, its networks and volumes too. */
  private async projectPlan(call: DockerCall, { Labels }: { Labels?: Record<string, string> | null | undefined }): Promise<MakePlan> {
    const affinities = affinitiesOfLabels(Labels ?? {});
    if (call.fromPeer) return planOf(undefined);
    return planOf((await this.place(call, affinities)) ?? (await this.built.nodesOf(affinities.project, call)));
  }

  private async place(call: DockerCall, affinities: Affinities): Promise<string[] | undefined> {
    const places = this.nodes.poolFor(call.access) && (await nodesFor(affinities, this.nodes, call));
    if (!places?.lacksImage) return places?.nodes;
    const [node = ""] = places.nodes;
    if (await this.images.bring(affinities.image, node, call)) return [node];
    throw engineError(409, notBrought(affinities.image, node));
  }

  /** @throws AppError 409 if a node has the name; what the engine of the chosen node says counts if that is the only one */
  private async assertFree(call: DockerCall, kind: "container" | "network", name: string): Promise<void> {
    if (!this.nodes.poolFor(call.access)) return;
    const { found } = await this.nodes.holders(kind, name, call);
    // A full id or its first digits are no name.
    const holder = found.find(({ json }) => json.Name === name || json.Name === `/${name}`);
    if (holder) throw takenError(kind, name, String(holder.json.Id));
  }

  /**
   * Runs `work` while this node alone in the pool claims a name.
   * @param work calls `confirm` once it has created what has the name
   */
  private async claimed<T>(
    call: DockerCall,
    kind: "container" | "network" | "volume",
    name: string,
    work: (confirm: () => Promise<void>) => Promise<T>,
  ): Promise<T> {
    if (name === "") return work(async () => undefined);
    const { names } = this.deps.docker;
    try {
      if (kind === "container") return await names.whileClaimed(name, ({ confirm }) => work(confirm));
      return await names.whileKindClaimed(kind, name, async ({ confirm }) => {
        // The claim is open: whoever creates the name elsewhere from now on sees it.
        await this.assertFreeElsewhere(call, kind, name);
        return work(confirm);
      });
    } catch (error) {
      return this.rethrowTaken(call, kind, name, error);
    }
  }

  private async assertFreeElsewhere(call: DockerCall, kind: "network" | "volume", name: string): Promise<void> {
    const { answers } = await this.nodes.askOthers({ method: "GET", segments: [`${kind}s`, name] }, call, { wholePool: true });
    const taken = answers.find(({ value }) => value.status === 200 && (JSON.parse(value.body.toString()) as Json).Name === name);
    if (taken) throw takenError(kind, name, taken.node);
  }

  private async rethrowTaken(call: DockerCall, kind: "container" | "network" | "volume", name: string, error: unknown): Promise<never> {
    if (!(error instanceof AppError) || error.code !== "NAME_TAKEN" || error.details.docker_status !== undefined) throw error;
    const segments = ["containers", name, "json"];
    const own = call.access.labels ? undefined : await this.local.ask("GET", segments);
    const { answers } = await this.nodes.askOthers({ method: "GET", segments }, call).catch(() => ({ answers: [] }));
    const holder = [...(own ? [own] : []), ...answers.map(({ value }) => value)].find(({ status }) => status === 200);
    throw takenError(kind, name, holder ? String((JSON.parse(holder.body.toString()) as Json).Id) : String(error.details.node ?? UNKNOWN));
  }

  private async orRemove(segments: string[], work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const query = new URLSearchParams(segments[0] === "containers" ? { force: "1", v: "1" } : {});
      await this.local.ask("DELETE", segments, query).catch(() => undefined);
      this.deps.docker.containers.invalidate();
      throw error;
    }
  }
}

/** Stands for the id of a container that the client may not see, or that has a name as its alias. */
const UNKNOWN = "unknown";

function takenError(kind: "container" | "network" | "volume", name: string, holder: string): AppError {
  if (kind === "network") return engineError(409, `network with name ${name} already exists`);
  if (kind === "volume") return engineError(409, `volume ${name} is on the node ${holder}`);
  return engineError(
    409,
    `Conflict. The container name "/${name}" is already in use by container "${holder}". You have to remove (or rename) that container to be able to reuse that name.`,
  );
}

/** A volume's name that is taken is no conflict of the container's. */
function rethrowVolume(error: unknown): never {
  if (error instanceof AppError && error.code === "NAME_TAKEN") throw engineError(409, error.message);
  throw error;
}

function toReply({ status, headers, body }: RawAnswer): Reply {
  const type = headers["content-type"];
  return new Reply(status, body, type === undefined ? {} : { "content-type": type });
}

function withoutNode(query: URLSearchParams): URLSearchParams {
  return new URLSearchParams([...query].filter(([name]) => name !== "node"));
}
