import type { IncomingHttpHeaders } from "node:http";
import type { Request, RequestHandler, Response } from "express";
import type { Access } from "../access/access";
import type { DiskBudget } from "../archive/read-ahead";
import type { Pool } from "../cluster/pool";
import type { RoutedRequest } from "../cluster/routing/routed-request";
import type { DockerHost } from "../docker/docker-host";
import type { RawAnswer } from "../docker/raw-engine";
import { AppError } from "../errors";
import type { RequestDeadlines } from "../http/request-deadlines";
import type { BurstClass } from "../http/route";
import { requestBodyFraming } from "../proxy/http1/request-body";
import { resetConnection } from "../proxy/relay";
import type { Reply } from "../support/reply";
import { parseQuery } from "./bodies/query";
import { BuiltImages } from "./built-images";
import { type DockerCall, type Outgoing, outgoing } from "./call";
import { Creator } from "./create";
import { ImageSupply } from "./image-supply";
import { LocalEngine } from "./local";
import { MergedAnswers } from "./merged";
import { Nodes, type Question } from "./nodes";
import { PassOn } from "./pass-on";
import { answerReadingAhead } from "./read-ahead-answer";
import { readWholeBody } from "./read-body";
import { isHidden, type MatchedRow, matchRow, type Row } from "./row";
import { DOCKER_ROWS } from "./rows";
import { sendAnswer, sendJson } from "./send";
import { parseDockerTarget } from "./target";
import { Targets } from "./targets";

export interface DockerApiDeps {
  docker: DockerHost;
  /** undefined without a cluster */
  pool: Pool | undefined;
  nodeName: string;
  /** of the pool, the same on every node */
  poolId: string;
  limits: Record<BurstClass, RequestHandler>;
  bodyLimitBytes: number;
  /** for files of containers that clients have not read yet */
  downloadDisk: DiskBudget;
  /** Places a container, a network or a volume. */
  dispatch(request: RoutedRequest): Promise<Reply>;
  /** names of the nodes that can take new work, the best first */
  rankNodes(client: { headers: IncomingHttpHeaders; access: Access }): Promise<string[]>;
  deadlines: Pick<RequestDeadlines, "untilStop">;
}

/** Options of dockerode that it sends in the query too, where engines ignore them. */
const CLIENT_OPTIONS = ["hijack", "abortSignal"];

/** The Docker API of the pool: answers each request by its row (docs/docker-api.md). */
export class DockerApi {
  private readonly local: LocalEngine;
  private readonly nodes: Nodes;
  private readonly passOn: PassOn;
  private readonly merged: MergedAnswers;
  private readonly images: ImageSupply;
  private readonly creator: Creator;
  private readonly targets: Targets;

  constructor(private readonly deps: DockerApiDeps) {
    const { docker, pool, nodeName, poolId } = deps;
    this.local = new LocalEngine(docker, nodeName);
    this.nodes = new Nodes(docker.rawEngine, pool, nodeName, (question, call) => this.answerHere(question, call));
    this.passOn = new PassOn(docker.rawEngine, pool, () => docker.containers.invalidate());
    this.merged = new MergedAnswers(docker.rawEngine, this.nodes, poolId);
    this.images = new ImageSupply(this.nodes);
    const rankNodes = ({ request, access }: DockerCall) => deps.rankNodes({ headers: request.headers, access });
    const built = new BuiltImages(this.nodes, rankNodes);
    this.creator = new Creator(deps, this.local, this.nodes, this.images, built);
    this.targets = new Targets(this.nodes, (call) => (call.row.path === "/build" ? built.rankForBuild(call) : rankNodes(call)));
  }

  /**
   * Answers one authenticated request.
   * @param options.limited whether it spends the client's burst
   * @throws AppError for every error that is not the engine's own response
   */
  async handle(request: Request, response: Response, options: { limited: boolean }): Promise<void> {
    const target = parseDockerTarget(request.url);
    const matched = target && matchRow(DOCKER_ROWS, request.method, target.segments);
    if (!target || !matched) throw new AppError("ROUTE_NOT_FOUND", { message: "page not found" });
    const { row, id } = matched;
    response.locals.route = `/v1.NN${row.path}`;
    const { access, peer } = response.locals;
    if (!access) throw new AppError("MISSING_CREDENTIALS");
    access.assertRoute(row);
    if (row.where.at === "refused")
      throw new AppError("ROUTE_NOT_FOUND", { message: row.where.message, details: { docker_status: row.where.status } });
    const query = parseQuery(target.search, row.query, {
      repeated: row.repeatable ?? [],
      firstCounts: row.firstCounts ?? [],
      ignored: [...CLIENT_OPTIONS, ...(row.ignored ?? [])],
    });
    if (options.limited)
      await new Promise<void>((resolve, reject) => {
        void this.deps.limits[row.burst](request, response, (error?: unknown) => (error ? reject(error) : resolve()));
      });
    const call: DockerCall = { request, response, row, id, version: target.version, query, access, fromPeer: peer !== undefined };
    if (isUnbounded(call)) this.breakAtStop(call);
    await this.merged.assertVersion(call);
    const raw = row.body === "json" || hasIgnoredBody(call) ? await readWholeBody(request, this.deps.bodyLimitBytes, peer) : undefined;
    return this.answer(call, row.body === "json" ? raw : undefined);
  }

  /** At a stop of this node, a stream without an end of its own breaks: clients would take an early regular end for its end. */
  private breakAtStop({ request, response }: DockerCall): void {
    const closed = new AbortController();
    response.once("close", () => closed.abort());
    const signal = this.deps.deadlines.untilStop(closed.signal);
    const breakOff = () => {
      if (!closed.signal.aborted) resetConnection(request.socket);
    };
    if (signal.aborted) breakOff();
    else signal.addEventListener("abort", breakOff);
  }

  private async answer(call: DockerCall, raw: Buffer | undefined): Promise<void> {
    const { row } = call;
    const { where } = row;
    if (where.at === "special") {
      if (where.name === "ping") return this.merged.ping(call);
      if (where.name === "events") return this.merged.events(call);
      if (where.name === "plugins") return sendJson(call, 200, []);
      if (where.name.startsWith("create")) return this.creator.create(call, raw);
    }
    if (call.fromPeer && (where.at === "merge" || where.at === "holders" || row.judge === "exec"))
      return sendAnswer(call, await this.local.answer(call, raw));
    if (where.at === "merge") return this.merged.answer(call, where.merge);
    if (where.at === "holders") return this.merged.onHolders(call);
    if (call.fromPeer) return this.runHere(call, call.id, raw);
    if (row.path === "/images/create") this.images.remember(call);
    try {
      return await this.runOnTargets(call, raw);
    } catch (error) {
      // The node that was known to have it can't be reached: the others are asked, of which one may use the same engine.
      if (where.at !== "owner" || !isUnsent(error) || call.response.headersSent) throw error;
      return this.runOnTargets(call, raw);
    }
  }

  private async runOnTargets(call: DockerCall, raw: Buffer | undefined): Promise<void> {
    if (call.row.judge === "exec") {
      const container = await this.nodes.locate("container", call.id ?? "", call);
      return sendAnswer(call, await this.nodes.createExec(container, raw, call));
    }
    let failure: unknown;
    for (const { node, id } of await this.targets.of(call, raw)) {
      try {
        return await this.runOn(node, call, id, raw);
      } catch (error) {
        failure = error;
        if (call.row.where.at !== "best" || !isUnsent(error) || call.response.headersSent) throw error;
      }
    }
    throw failure ?? new AppError("NO_NODE");
  }

  private async runOn(node: string, call: DockerCall, id: string | undefined, raw: Buffer | undefined): Promise<void> {
    if (node === this.deps.nodeName) return this.runHere(call, id, raw);
    const version = call.version ?? (await this.deps.docker.rawEngine.versionFor(undefined));
    const out = outgoing(call, version, { id, body: raw });
    await this.passOn.toPeer(call, this.nodes.peer(node), { ...out, upgrade: upgradeOf(call, raw) });
    if (isRemoval(call)) this.merged.forgetContainer(node, id ?? "");
  }

  /** Runs a request on this node's engine, which has the object. */
  private async runHere(call: DockerCall, id: string | undefined, raw: Buffer | undefined): Promise<void> {
    const { row, query, access, version } = call;
    const request = { row, id, query, access, version };
    if (isHidden(row, access)) return sendAnswer(call, await this.local.answer(request));
    const admitted = await this.local.admit(request, raw);
    const engineVersion = await this.deps.docker.rawEngine.versionFor(version);
    const out: Outgoing = { ...outgoing(call, engineVersion, admitted), upgrade: upgradeOf(call, admitted.body) };
    if (row.check === "rename") return this.creator.rename(call, admitted.id ?? "", () => this.passOn.toEngine(call, out));
    if (row.readsAhead) return answerReadingAhead(call, out, this.deps.docker.rawEngine, this.deps.downloadDisk);
    return this.passOn.toEngine(call, out);
  }

  /** Answers a question about this node's engine as for another node. */
  private async answerHere({ method, segments, query, body, headers }: Question, { access, version }: DockerCall): Promise<RawAnswer> {
    const matched = matchRow(DOCKER_ROWS, method, segments) as MatchedRow;
    return this.local.answer({ ...matched, query: query ?? new URLSearchParams(), access, version, headers }, body);
  }

  close(): void {
    this.passOn.close();
  }
}

/** Whether a request failed because its node could not be reached: it can be sent again. */
function isUnsent(error: unknown): boolean {
  return error instanceof AppError && error.code === "NODE_FAILED" && error.details.sent === false;
}

/** Whether a request has removed its container. */
function isRemoval({ row, response }: DockerCall): boolean {
  return row.method === "DELETE" && row.path === "/containers/:id" && response.statusCode === 204;
}

/** Whether a body that engines ignore, as dockerode sends one with attach, comes before a stream's input, which must not begin with it. */
function hasIgnoredBody({ row, request }: DockerCall): boolean {
  return row.hijack === true && row.body === "none" && (request.upgradeOffer !== undefined || requestBodyFraming(request) === "length");
}

/** Whether an answer may have no end of its own. */
function isUnbounded({ row, query }: DockerCall): boolean {
  if (row.path.endsWith("/logs")) return ["1", "true"].includes(query.get("follow")?.toLowerCase() ?? "");
  return row.hijack === true || row.path === "/events" || /\/(?:wait|stats)$/.test(row.path);
}

/** The protocol to offer the engine an upgrade to; a detached exec has no stream. */
function upgradeOf({ row, request }: { row: Row; request: Request }, body: Buffer | undefined): string | undefined {
  if (!row.hijack) return undefined;
  if (row.method === "GET") return "websocket";
  if (row.judge === "execStart" && body && (JSON.parse(body.toString()) as { Detach?: boolean }).Detach) return undefined;
  // A stream in chunks is no raw stream: such a client gets the output alone.
  if (!request.upgradeOffer && request.headers["transfer-encoding"] !== undefined) return undefined;
  return "tcp";
}
