import type { IncomingMessage } from "node:http";
import { callPeers, includesSelf } from "../cluster/pool";
import { sendWatched } from "../cluster/routing/frozen-peer";
import { clusterHeaders, fanOut } from "../cluster/rpc/fan-out";
import type { RawAnswer, RawEngine } from "../docker/raw-engine";
import { AppError } from "../errors";
import { clientOf, type DockerCall } from "./call";
import { engineError } from "./errors";
import { mergeEvents } from "./events";
import { type Json, limitOf, MERGES } from "./merges";
import { MissingLists, parseFilters } from "./missing-lists";
import type { Answers, Nodes } from "./nodes";
import { type MergeName, segmentsOf } from "./row";
import { jsonBody, sendAnswer, sendJson, sendJsonBody } from "./send";
import { SharedReads } from "./shared-reads";
import { formatTarget, MIN_VERSION } from "./target";

/** How long the versions of the nodes are known. */
const VERSIONS_CACHE_MS = 10_000;
/** For the head of another node's event stream. */
const HEAD_TIMEOUT_MS = 10_000;

/** Sends what was read to one of the clients that asked for it. */
type Send = (call: DockerCall) => void;

/** Answers what all engines of the pool have a part of. */
export class MergedAnswers {
  private readonly missingLists = new MissingLists();
  private readonly reads = new SharedReads<Send>();
  private versions: { max: Promise<number[]>; at: number } | undefined;

  constructor(
    private readonly engine: RawEngine,
    private readonly nodes: Nodes,
    private readonly poolId: string,
  ) {}

  /** Called when a node has removed a container: it is not among those that the node has if it is missing later. */
  forgetContainer(node: string, reference: string): void {
    this.missingLists.forget(node, reference);
  }

  /** @throws AppError if no node answers; the first node's own error is passed on */
  async answer(call: DockerCall, merge: MergeName): Promise<void> {
    const ask = () => this.ask(call, merge);
    const send = await (call.row.method === "GET" ? this.reads.read(readKey(call), ask) : ask());
    send(call);
  }

  private async ask(call: DockerCall, merge: MergeName): Promise<Send> {
    const { row, query } = call;
    const asked = new URLSearchParams(query);
    const named = this.takeNodeFilter(call, asked);
    const isKept = merge === "containers" ? await this.relativeFilter(call, asked) : undefined;
    const answers = await this.nodes.askAll({ method: row.method, segments: segmentsOf(row, undefined), query: asked }, call, named);
    const { good, missing, failed } = split(answers);
    const isAlone = !this.nodes.poolFor(call.access);
    const only = good.length === 0 ? firstRefusal(answers) : isAlone && merge === "containers" ? good[0]?.value : undefined;
    // Also the list of a node alone goes out as its engine wrote it.
    if (only) return (each) => sendAnswer(each, only);
    const parts = good.map(({ node, value }) => ({ node, json: JSON.parse(value.body.toString()) as unknown }));
    if (merge === "containers") {
      for (const { node, json } of parts) this.missingLists.remember(node, call.access.key, json as Json[], asked);
      parts.push({ node: "", json: this.missingLists.entries(missing, call.access.key, asked) });
      if (isKept) for (const part of parts) part.json = (part.json as Json[]).filter(isKept);
    }
    const apiVersion = merge === "version" ? Math.min(...(await this.maxVersions(call))) : 0;
    const withoutAnswer = [...missing, ...failed];
    const merged = MERGES[merge](parts, { query, missing: withoutAnswer, poolId: this.poolId, apiVersion, minVersion: MIN_VERSION });
    const isPartialPrune = merge === "prune" && withoutAnswer.length > 0;
    const status = isPartialPrune ? (failed[0]?.status ?? 503) : 200;
    const body = jsonBody(isPartialPrune ? { message: partialPrune(good, withoutAnswer), ...(merged as Json) } : merged);
    const nodes = good.map(({ node }) => node);
    const headers = isAlone ? {} : clusterHeaders(nodes, withoutAnswer);
    return (each) => sendJsonBody(each, status, body, headers);
  }

  /**
   * The filter `node` is the pool's own.
   * @param asked loses it
   * @returns the names of the nodes that it names; undefined without it
   * @throws AppError INVALID_INPUT
   */
  private takeNodeFilter(call: DockerCall, asked: URLSearchParams): string[] | undefined {
    const { node, ...filters } = parseFilters(asked.get("filters"));
    if (node === undefined || call.fromPeer) return undefined;
    asked.set("filters", JSON.stringify(filters));
    if (node.length === 0) return undefined;
    const names = this.nodes.namesFor(call.access);
    const unknown = node.find((name) => !names.includes(name));
    if (unknown !== undefined) throw engineError(400, `invalid filter 'node=${unknown}': the nodes are ${names.join(", ")}`);
    return node;
  }

  /**
   * `before` and `since` name a container that only one engine knows: its time decides.
   * @param asked loses them
   * @returns whether a listed container is to be kept; undefined if the list isn't relative
   */
  private async relativeFilter(call: DockerCall, asked: URLSearchParams): Promise<((container: Json) => boolean) | undefined> {
    if (!this.nodes.poolFor(call.access)) return undefined;
    const filters = parseFilters(asked.get("filters"));
    const names = (["before", "since"] as const).flatMap((name) => {
      const value = filters[name]?.[0] ?? asked.get(name) ?? "";
      return value === "" ? [] : [{ name, value }];
    });
    if (names.length === 0) return undefined;
    for (const { name } of names) {
      delete filters[name];
      asked.delete(name);
    }
    asked.set("filters", JSON.stringify(filters));
    // The engine limits after it has compared; without a limit it leaves out what doesn't run.
    if (limitOf(asked) !== undefined) asked.set("all", "1");
    asked.delete("limit");
    const limits = await Promise.all(
      names.map(async ({ name, value }) => {
        const { found } = await this.nodes.holders("container", value, call);
        if (!found[0]) throw engineError(404, `No such container: ${value}`);
        return { name, seconds: Math.floor(Date.parse(String(found[0].json.Created)) / 1000), id: found[0].json.Id };
      }),
    );
    return ({ Created, Id }) =>
      limits.every(({ name, seconds, id }) => Id !== id && (name === "before" ? Number(Created) <= seconds : Number(Created) >= seconds));
  }

  /** Sends a change of an image to every node that has it. */
  async onHolders(call: DockerCall): Promise<void> {
    const { row, id, query } = call;
    const answers = await this.nodes.askAll(
      { method: row.method, segments: segmentsOf(row, id).flatMap((each) => each.split("/")), query },
      call,
    );
    const { good } = split(answers);
    const [first] = good;
    if (!first) return void sendAnswer(call, firstRefusal(answers));
    if (row.method !== "DELETE") return void sendAnswer(call, first.value);
    sendJson(
      call,
      200,
      good.flatMap(({ value }) => JSON.parse(value.body.toString()) as Json[]),
    );
  }

  /** The newest version that each node which answers takes. */
  private maxVersions(call: DockerCall): Promise<number[]> {
    if (!this.versions || performance.now() - this.versions.at > VERSIONS_CACHE_MS) {
      const versions = { max: this.askVersions(call), at: performance.now() };
      this.versions = versions;
      versions.max.catch(() => {
        if (this.versions === versions) this.versions = undefined;
      });
    }
    return this.versions.max;
  }

  private async askVersions(call: DockerCall): Promise<number[]> {
    const { good } = split(await this.nodes.askAll({ method: "GET", segments: ["version"] }, call));
    const versions = good.map(({ value }) => Number(/"ApiVersion":"1\.(\d+)"/.exec(value.body.toString())?.[1]));
    const valid = versions.filter((version) => !Number.isNaN(version));
    if (valid.length === 0) throw new AppError("ENGINE_UNREACHABLE");
    return valid;
  }

  /** @throws AppError INVALID_INPUT if no engine of the pool takes the client's version */
  async assertVersion(call: DockerCall): Promise<void> {
    const { version } = call;
    if (version === undefined || call.fromPeer || version <= (await this.engine.versionRange().catch(() => ({ max: 0 }))).max) return;
    const newest = Math.max(...(await this.maxVersions(call)));
    if (version > newest) throw engineError(400, `client version 1.${version} is too new. Maximum supported API version is 1.${newest}`);
  }

  async ping(call: DockerCall): Promise<void> {
    const { request, response } = call;
    response.set({
      "Api-Version": `1.${Math.min(...(await this.maxVersions(call)))}`,
      "Builder-Version": "1",
      "Cache-Control": "no-cache, no-store, must-revalidate",
      "Docker-Experimental": "false",
      OSType: "linux",
      Pragma: "no-cache",
      Swarm: "inactive",
      "Content-Type": "text/plain; charset=utf-8",
      "Content-Length": request.method === "HEAD" ? "0" : "2",
    });
    response.end(request.method === "HEAD" ? undefined : "OK");
  }

  async events(call: DockerCall): Promise<void> {
    const { response, query, row, version, access } = call;
    const closed = new AbortController();
    response.once("close", () => closed.abort());
    const segments = segmentsOf(row, undefined);
    const openHere = async (): Promise<{ node: string; stream: IncomingMessage }> => {
      access.assertNode(this.nodes.nodeName);
      const path = formatTarget(await this.engine.versionFor(version), segments, query);
      const stream = await this.engine.open({ method: "GET", path, signal: closed.signal });
      // No events of an engine that is frozen aren't no events.
      stream.once(
        "close",
        this.engine.watch((error) => stream.destroy(error)),
      );
      return { node: this.nodes.nodeName, stream };
    };
    const pool = call.fromPeer ? undefined : this.nodes.poolFor(access);
    if (pool) await callPeers(pool, "ping", {});
    const url = formatTarget(version ?? (await this.engine.versionFor(undefined)), segments, query);
    const peerCall = {
      method: "GET",
      url,
      ...clientOf(call),
      remainingMs: HEAD_TIMEOUT_MS,
      timeoutMs: HEAD_TIMEOUT_MS,
      signal: closed.signal,
    };
    const [own, others] = await Promise.all([
      !pool || includesSelf(pool) ? openHere() : undefined,
      pool ? fanOut(pool.members.peers, (peer) => sendWatched(pool, peer, peerCall)) : undefined,
    ]);
    const peers = (others?.answers ?? []).map(({ node, value }) => ({ node, stream: value }));
    const sources = [...(own ? [own] : []), ...peers.filter(({ stream }) => stream.headers["x-error-code"] === undefined)];
    const refused = sources.find(({ stream }) => stream.statusCode !== 200);
    response.statusCode = refused?.stream.statusCode ?? 200;
    response.setHeader("Content-Type", refused?.stream.headers["content-type"] ?? "application/json");
    if (others)
      response.set(
        clusterHeaders(
          sources.map(({ node }) => node),
          others.missing,
        ),
      );
    response.flushHeaders();
    if (refused) {
      for (const { stream } of sources) if (stream !== refused.stream) stream.destroy();
      return void refused.stream.pipe(response);
    }
    // The entry node adds the names of the nodes; a node alone has none to tell apart.
    if (!pool) return void own?.stream.on("error", () => response.destroy()).pipe(response);
    const until = Number(query.get("until") ?? Number.NaN);
    mergeEvents(sources, response, { endsItself: query.has("until"), isPast: until * 1000 <= Date.now() });
  }
}

/** The same for requests that have the same answer. */
function readKey({ row, version, query, access, response }: DockerCall): string {
  return JSON.stringify([row.path, version, query.toString(), access.key, response.locals.identity]);
}

/** The successes of the nodes, the nodes that can't be reached, and those whose engine has refused. */
function split({ answers, missing }: Answers) {
  const failed = answers.flatMap(({ node, value: { status, body } }) => {
    if (status < 300) return [];
    const [, message] = /"message":("(?:[^"\\]|\\.)*")/.exec(body.toString()) ?? [];
    return [{ node, status, reason: message === undefined ? `status ${status}` : String(JSON.parse(message)) }];
  });
  return { good: answers.filter(({ value }) => value.status < 300), missing, failed };
}

/** Clients show the message of an error; nothing else of a prune tells that a node kept what it has. */
function partialPrune(good: Answers["answers"], failed: Answers["missing"]): string {
  const nodes = good.map(({ node }) => node).join(", ");
  return `Pruned on ${nodes} only: ${failed.map(({ node, reason }) => `node ${node}: ${reason}`).join("; ")}`;
}

/**
 * The most telling of the nodes' errors: a conflict rather than that a node has no such thing.
 * @throws AppError 503 if only missing nodes can know
 */
function firstRefusal({ answers, missing }: Answers): RawAnswer {
  const values = answers.map(({ value }) => value);
  const first: RawAnswer | undefined = values.find(({ status }) => status !== 404) ?? values[0];
  if (first && !(first.status === 404 && missing.length > 0)) return first;
  throw engineError(503, missing.map(({ node, reason }) => `node ${node} is unreachable: ${reason}`).join("; "));
}
