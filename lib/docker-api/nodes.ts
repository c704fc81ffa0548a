import { LRUCache } from "lru-cache";
import { Access } from "../access/access";
import type { Peer } from "../cluster/membership/peer";
import { callPeer, includesSelf, nodeNames, type Pool, poolOf } from "../cluster/pool";
import { sendWatched } from "../cluster/routing/frozen-peer";
import { locateContainer, toldOfLeft } from "../cluster/routing/locate";
import { fanOut, type MissingNode } from "../cluster/rpc/fan-out";
import { PeerFailure } from "../cluster/rpc/peer-failure";
import type { RawAnswer, RawEngine } from "../docker/raw-engine";
import { AppError, isNotFound, nodeNotFound } from "../errors";
import { clientOf, type DockerCall } from "./call";
import { engineError, toRawAnswer } from "./errors";
import { type Json, PREDEFINED_NETWORKS } from "./merges";
import { NO_TIMEOUT_MS } from "./pass-on";
import type { ObjectKind } from "./row";
import { formatTarget } from "./target";

/** For another node to answer a question, while it answers pings. */
const ANSWER_TIMEOUT_MS = 60_000;

/** The answers of all nodes, this node's first. */
export interface Answers {
  answers: { node: string; value: RawAnswer }[];
  missing: MissingNode[];
}

/** A question to an engine of the pool. */
export interface Question {
  method: string;
  segments: string[];
  query?: URLSearchParams;
  body?: Buffer | undefined;
  headers?: Record<string, string>;
}

/** Where an object is, and the name or id to ask its engine for. */
export interface Located {
  node: string;
  id: string;
}

const INSPECTED: Record<Exclude<ObjectKind, "image">, (id: string) => string[]> = {
  container: (id) => ["containers", id, "json"],
  exec: (id) => ["exec", id, "json"],
  network: (id) => ["networks", id],
  volume: (id) => ["volumes", id],
};

const NO_SUCH: Record<ObjectKind, (id: string) => string> = {
  container: (id) => `No such container: ${id}`,
  exec: (id) => `No such exec instance: ${id}`,
  network: (id) => `network ${id} not found`,
  volume: (id) => `get ${id}: no such volume`,
  image: (id) => `No such image: ${id.includes(":") || id.includes("@") ? id : `${id}:latest`}`,
};

/** Names that could also be the first digits of another container's id. */
const FIRST_DIGITS = /^[0-9a-f]{1,63}$/;

/** Asks the engines of the pool, and finds the one that has an object. */
export class Nodes {
  /** Nodes of execs and of containers by their full ids, which are never used twice. A node that starts again may have another engine. */
  private readonly nodesOfIds = new LRUCache<string, { node: string; process: string }>({ max: 10_000 });

  /**
   * @param answerHere answers a question on this node as for another node's request
   */
  constructor(
    private readonly engine: RawEngine,
    private readonly pool: Pool | undefined,
    readonly nodeName: string,
    private readonly answerHere: (question: Question, call: DockerCall) => Promise<RawAnswer>,
  ) {}

  /** The pool as the client may use it; undefined without a cluster. */
  poolFor(access: Access): Pool | undefined {
    return this.pool && poolOf(this.pool, access);
  }

  /** Names of the nodes that the client may use. */
  namesFor(access: Access): string[] {
    const pool = this.poolFor(access);
    return pool ? nodeNames(pool) : [this.nodeName];
  }

  /** @throws AppError NODE_NOT_FOUND */
  peer(node: string): Peer {
    const peer = this.pool?.members.allPeers.find(({ name }) => name === node);
    // The other nodes aren't named: the client may not be permitted to use them.
    if (!peer) throw nodeNotFound(node, []);
    return peer;
  }

  /**
   * Asks all nodes, this one included.
   * @param only the names of those to ask; all of them if absent
   */
  async askAll(question: Question, call: DockerCall, only?: readonly string[]): Promise<Answers> {
    const pool = this.poolFor(call.access);
    if (!pool || call.fromPeer) return { answers: [{ node: this.nodeName, value: await this.answerHere(question, call) }], missing: [] };
    // Of the nodes that use one engine only one is asked, unless another one is named.
    const peers = only ? pool.members.allPeers.filter(({ name }) => only.includes(name)) : pool.members.peers;
    const isAsked = includesSelf(pool) && (only?.includes(this.nodeName) ?? true);
    // The question may take long: pings first find out which peers don't answer at all.
    await fanOut(peers, (peer) => callPeer(pool, peer, "ping", {}));
    const ownAnswer = () =>
      this.answerHere(question, call).then(
        (value) => ({ value }),
        (error: Error) => (error instanceof AppError && error.status < 500 ? { value: toRawAnswer(error) } : { reason: error.message }),
      );
    const [here, others] = await Promise.all([
      isAsked ? ownAnswer() : undefined,
      fanOut(peers, (peer) => this.askPeer(pool, peer, question, call)),
    ]);
    if (here && "value" in here) others.answers.unshift({ node: this.nodeName, value: here.value });
    else if (here) others.missing.unshift({ node: this.nodeName, reason: here.reason });
    return others;
  }

  /**
   * Asks the other nodes, also for a request that one of them has sent.
   * @param options.wholePool asks all of them for all that they have, whatever the client may see: for names that are taken
   */
  async askOthers(question: Question, call: DockerCall, { wholePool } = { wholePool: false }): Promise<Answers> {
    const client = wholePool ? { ...clientOf(call), access: Access.full } : clientOf(call);
    const pool = wholePool ? this.pool : this.poolFor(call.access);
    return pool ? fanOut(pool.members.peers, (peer) => this.askPeer(pool, peer, question, call, client)) : { answers: [], missing: [] };
  }

  /**
   * Asks one node.
   * @param timeoutMs for its response, while it answers pings
   * @throws AppError NODE_FAILED, NODE_NOT_FOUND, and of a refusal by this node
   */
  async ask(node: string, question: Question, call: DockerCall, timeoutMs: number): Promise<RawAnswer> {
    const pool = this.poolFor(call.access);
    if (!pool || node === this.nodeName) return this.answerHere(question, call);
    return this.askPeer(pool, this.peer(node), question, call, clientOf(call), timeoutMs).catch(throwAppError);
  }

  /**
   * Creates an exec on the node that has its container, and remembers the node.
   * @param body as the client sent it
   * @throws AppError NODE_FAILED, NODE_NOT_FOUND, and of a refusal by this node
   */
  async createExec({ node, id }: Located, body: Buffer | undefined, call: DockerCall): Promise<RawAnswer> {
    const question = { method: "POST", segments: ["containers", id, "exec"], body };
    const pool = this.poolFor(call.access);
    const answer =
      !pool || node === this.nodeName
        ? await this.answerHere(question, call)
        : await this.request(pool, this.peer(node), question, call, clientOf(call), NO_TIMEOUT_MS).catch((error: unknown) => {
            if (error instanceof PeerFailure && !error.sent && !error.healthNeutral) this.peer(node).markMissing(error.reason);
            return throwAppError(error);
          });
    if (answer.status === 201) this.remember((JSON.parse(answer.body.toString()) as { Id: string }).Id, node);
    return answer;
  }

  /** @throws PeerFailure also if the node has no answer to this question */
  private async askPeer(
    pool: Pool,
    peer: Peer,
    question: Question,
    call: DockerCall,
    client = clientOf(call),
    timeoutMs = ANSWER_TIMEOUT_MS,
  ): Promise<RawAnswer> {
    const answer = await this.request(pool, peer, question, call, client, timeoutMs);
    // A node of a version without this API, or one whose engine doesn't answer, has no answer to this question.
    const code = answer.headers["x-error-code"];
    if (code === "ROUTE_NOT_FOUND" || (answer.status === 503 && code !== undefined))
      throw new PeerFailure(peer.name, (JSON.parse(answer.body.toString()) as { message: string }).message, true, true);
    return answer;
  }

  /** @throws PeerFailure */
  private async request(
    pool: Pool,
    peer: Peer,
    { method, segments, query, body: sent, headers: more = {} }: Question,
    call: DockerCall,
    client: ReturnType<typeof clientOf>,
    timeoutMs: number,
  ): Promise<RawAnswer> {
    const url = formatTarget(call.version ?? (await this.engine.versionFor(undefined)), segments, query ?? new URLSearchParams());
    const request_id = call.response.locals.request_id;
    const response = await sendWatched(pool, peer, {
      method,
      url,
      ...client,
      remainingMs: timeoutMs,
      timeoutMs,
      body: sent && sent.length > 0 ? sent : undefined,
      headers: { ...more, "x-request-id": request_id, ...(method === "GET" ? {} : { "content-length": sent?.length ?? 0 }) },
    });
    const body = Buffer.concat(await response.toArray());
    return { status: response.statusCode ?? 502, headers: response.headers, body };
  }

  /**
   * Finds the node that has an object.
   * @throws AppError with the engine's own status and text; NODES_MISSING if some nodes don't answer and none of the others has it
   */
  async locate(kind: ObjectKind, id: string, call: DockerCall): Promise<Located> {
    const pool = this.poolFor(call.access);
    if (!pool || call.fromPeer) return { node: this.nodeName, id };
    const known = kind === "exec" || kind === "container" ? this.knownOwner(pool, kind, id) : undefined;
    if (known !== undefined) return { node: known, id };
    if (kind === "container") {
      const found = await this.locateByList(pool, id);
      if (found) return found;
    }
    return this.locateByInspect(kind, id, call);
  }

  /** Remembers which node has made an exec or a container. @param id its full id */
  remember(id: string, node: string): void {
    this.nodesOfIds.set(id, { node, process: this.processOf(node) });
  }

  private processOf(node: string): string {
    return this.pool?.members.allPeers.find(({ name }) => name === node)?.record.process ?? "";
  }

  /** The node that has an object if any has it, known without asking; undefined if the client may not use it, or it doesn't answer. */
  private knownOwner(pool: Pool, kind: "exec" | "container", id: string): string | undefined {
    const remembered = this.nodesOfIds.get(id);
    const hint = kind === "exec" || FIRST_DIGITS.test(id) ? undefined : pool.hints.get(id, pool.access?.key ?? "");
    const known = remembered && remembered.process === this.processOf(remembered.node) ? remembered.node : undefined;
    const node = known ?? (hint?.isAlias ? undefined : hint?.node);
    if (node === this.nodeName) return includesSelf(pool) ? node : undefined;
    return pool.members.allPeers.some(({ name, missingReason }) => name === node && missingReason === undefined) ? node : undefined;
  }

  private async locateByList(pool: Pool, id: string): Promise<Located | undefined> {
    try {
      const { owners } = await locateContainer(pool, id, { prefix: true });
      const nodes = [...new Set(owners.map(({ node }) => node))];
      if (nodes.length > 1) throw ambiguous(id, nodes);
      const [owner] = owners as [(typeof owners)[0]];
      this.remember(owner.found.id, owner.node);
      return { node: owner.node, id: owner.found.name === id ? id : owner.found.id };
    } catch (error) {
      // The engine takes any first digits of an id that only one container has.
      if (isNotFound(error) && FIRST_DIGITS.test(id) && !pool.access?.labels) return undefined;
      if (isNotFound(error)) throw engineError(404, `${NO_SUCH.container(id)}${toldOfLeft(pool)}`);
      throw error;
    }
  }

  private async locateByInspect(kind: ObjectKind, id: string, call: DockerCall): Promise<Located> {
    const { found, missing } = await this.holders(kind, id, call);
    const exact = found.filter(({ json }) => json.Id === id || json.ID === id || json.Name === id || json.Name === `/${id}`);
    const holders = exact.length > 0 ? exact : found;
    const [first] = holders;
    if (!first) {
      const pool = this.poolFor(call.access);
      if (missing.length === 0) throw engineError(404, `${NO_SUCH[kind](id)}${pool && kind !== "image" ? toldOfLeft(pool) : ""}`);
      throw engineError(
        503,
        `${NO_SUCH[kind](id)}; ${missing.map(({ node, reason }) => `node ${node} is unreachable: ${reason}`).join("; ")}`,
      );
    }
    const ids = new Set(holders.map(({ json }) => String(json.Id ?? json.ID ?? json.Name)));
    const isShared = kind === "image" || (kind === "network" && (ids.size === 1 || PREDEFINED_NETWORKS.has(String(first.json.Name))));
    if (holders.length > 1 && !isShared) {
      const nodes = holders.map(({ node }) => node);
      throw kind === "volume" ? engineError(409, `volume ${id} is on the nodes ${nodes.join(", ")}`) : ambiguous(id, nodes);
    }
    if (kind === "exec") this.remember(id, first.node);
    return { node: first.node, id };
  }

  /** All nodes that have an object, this node first. */
  async holders(
    kind: ObjectKind,
    id: string,
    call: DockerCall,
  ): Promise<{ found: { node: string; json: Json }[]; missing: MissingNode[] }> {
    const segments = kind === "image" ? ["images", ...id.split("/"), "json"] : INSPECTED[kind](id);
    const { answers, missing } = await this.askAll({ method: "GET", segments }, call);
    const found = answers.filter(({ value }) => value.status === 200);
    return { found: found.map(({ node, value }) => ({ node, json: JSON.parse(value.body.toString()) as Json })), missing };
  }
}

function throwAppError(error: unknown): never {
  throw error instanceof PeerFailure ? error.toAppError() : error;
}

function ambiguous(id: string, nodes: string[]): AppError {
  return engineError(400, `multiple IDs found with provided prefix: ${id} (on the nodes ${nodes.join(", ")})`);
}
