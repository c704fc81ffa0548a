import { finished, Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { AppError, type ErrorCode, isErrorCode } from "../../errors";
import { measure } from "../../support/measure";
import { errorCodeOf, Reply } from "../../support/reply";
import { settlesBefore } from "../../support/settles-before";
import { callPeer, includesSelf, type Pool, poolOf } from "../pool";
import { forwardRun } from "../routing/forward";
import { locateContainer, reachPeer } from "../routing/locate";
import { idempotencyKeyOf, type RoutedRequest } from "../routing/routed-request";
import type { Plan } from "../routing/where";
import { fanOut } from "../rpc/fan-out";
import { PeerFailure } from "../rpc/peer-failure";
import { type Bid, declinedBid } from "./bid";
import type { Bidder } from "./bidder";
import { runOnce } from "./idempotency";
import { orderEntry, withNamedPlacement, withNameWarning, withPlacement, withVolumeWarning } from "./placement-fields";
import { type InFlight, loadOf, type RankedBid, rank, shortlist } from "./scoring";

/** Refusals after which another node is tried: the cause may be the refusing node's alone. */
const TRY_NEXT: ReadonlySet<ErrorCode> = new Set([
  "PORT_TAKEN",
  "ENGINE_UNREACHABLE",
  "ENGINE_TIMEOUT",
  "STOPPING",
  "NOT_ALLOWED",
  "ENGINE_ERROR",
  "DOCKER_CLI_UNUSABLE",
  "NOT_ACCEPTING",
  "NO_ROOM",
]);
/** Refusals of a registry. Most are the same for all nodes: one more node is tried, which may have other credentials or another network. */
const REGISTRY_REFUSALS: ReadonlySet<ErrorCode> = new Set(["IMAGE_NOT_FOUND", "NOT_AN_IMAGE", "IMAGE_DENIED", "REGISTRY_UNREACHABLE"]);
/** How often a run that waits for room asks for bids again. */
const BID_AGAIN_INTERVAL_MS = 250;

export interface PlacementSettings {
  /** how long a run may wait until a node has room */
  queueWaitMs: number;
  /** runs that may wait at a time */
  queueLength: number;
  /** how long to wait for a forwarded run's reply */
  runWaitMs: number;
}

export interface SchedulerDeps {
  pool: Pool;
  bidder: Bidder;
  settings: PlacementSettings;
}

/** Places each run on the node whose bid is best. */
export class Scheduler {
  /** By node: the runs that this node has sent there and that have not been answered. */
  private readonly inFlight = new Map<string, InFlight>();
  /** Runs that wait for room are served in order of arrival: each awaits the one before it. */
  private queue: Promise<unknown> = Promise.resolve();
  private runsWaiting = 0;

  constructor(private readonly deps: SchedulerDeps) {}

  /** Runs that wait until a node has room. */
  get waiting(): number {
    return this.runsWaiting;
  }

  /**
   * Runs a plan, once for each Idempotency-Key: on the node that the client named, or else on the best.
   * @throws AppError as `place`; NODE_NOT_FOUND
   * @throws PeerFailure if the named node doesn't answer
   */
  run(request: RoutedRequest, plan: Plan): Promise<Reply> {
    const findHolders = async (name: string) => (await locateContainer(this.poolOf(request), name, { prefix: false, askAll: true })).owners;
    return runOnce(plan, idempotencyKeyOf(request), findHolders, () =>
      request.pinnedNode === undefined ? this.place(request, plan) : this.runOnNamedNode(request.pinnedNode, request, plan),
    );
  }

  private async runOnNamedNode(nodeName: string, request: RoutedRequest, plan: Plan): Promise<Reply> {
    const pool = this.poolOf(request);
    const reply =
      nodeName === pool.nodeName
        ? await this.runLocally(request, plan)
        : await forwardRun(pool, await reachPeer(pool, nodeName), request, this.runWaitMs(plan), plan);
    if (reply.status >= 400) return reply;
    const named = withNameWarning(reply, plan, idempotencyKeyOf(request), pool);
    return request.explain ? withNamedPlacement(named, nodeName) : named;
  }

  /**
   * Runs a plan on the best node, or on the next best ones if that refuses. Waits for room if the settings allow.
   * @throws AppError NO_NODE with every node's reason; PORT_TAKEN or IMAGE_NOT_FOUND if all nodes decline for it; the chosen node's error
   */
  async place(request: RoutedRequest, plan: Plan): Promise<Reply> {
    const { queueWaitMs, queueLength } = this.deps.settings;
    const bids = await this.requestBids(request, plan);
    const ranked = this.rankBids(request, bids);
    if (ranked.length > 0) return this.tryInOrder(request, plan, bids, ranked);
    if (queueWaitMs > 0 && this.runsWaiting < queueLength) return this.waitForRoom(request, plan);
    throw this.noNodeError(request, bids, plan);
  }

  /**
   * Runs a plan on this node, because it was chosen or named.
   * @throws AppError NOT_ACCEPTING; the run's error
   */
  async runLocally(request: RoutedRequest, plan: Plan): Promise<Reply> {
    const { bidder } = this.deps;
    if (!bidder.accepting) throw new AppError("NOT_ACCEPTING");
    const release = bidder.accept(plan.needs);
    const freeSlot = bidder.occupySlot(plan.needs);
    try {
      const reply = await request.runHere(plan.body, release);
      if (reply.body instanceof Readable) finished(reply.body, freeSlot);
      else freeSlot();
      return reply;
    } catch (error) {
      freeSlot();
      throw error;
    } finally {
      release();
    }
  }

  private poolOf({ access }: Pick<RoutedRequest, "access">): Pool {
    return poolOf(this.deps.pool, access);
  }

  private runWaitMs(plan: Plan): number {
    return this.deps.settings.runWaitMs + (plan.extraWaitMs ?? 0);
  }

  /**
   * Asks for bids without a run: for work that leaves no container behind.
   * @returns the names of the nodes that take it, the best first
   */
  async rankNodes(request: Pick<RoutedRequest, "headers" | "access">, plan: Pick<Plan, "name" | "needs">): Promise<string[]> {
    return this.rankBids(request, await this.requestBids(request, plan)).map(({ bid }) => bid.node);
  }

  private async requestBids(
    request: Pick<RoutedRequest, "headers" | "access">,
    { name, needs, nodes }: Pick<Plan, "name" | "needs" | "nodes">,
  ): Promise<Bid[]> {
    const { bidder } = this.deps;
    const pool = this.poolOf(request);
    const canTake = (node: string) => nodes === undefined || nodes.includes(node);
    const self = { peer: undefined, load: 0, engine: "ok" as const };
    const peers = pool.members.peers
      .filter((peer) => peer.missingReason === undefined && canTake(peer.name))
      // Its record may be old: it is asked unless others are drawn instead.
      .map((peer) => ({
        peer,
        load: peer.record.accepting === false ? Number.POSITIVE_INFINITY : peer.record.load,
        engine: peer.record.engine,
      }));
    const { volumes, networks = [], containers = [] } = needs;
    // Any node may be the one that has what the run uses.
    const usesSomething = volumes.length + networks.length + containers.length > 0;
    const asked = usesSomething ? peers : shortlist([self, ...peers], Math.random);
    const candidates = asked.flatMap(({ peer }) => peer ?? []);
    const ownBid = includesSelf(pool) && canTake(pool.nodeName) ? [bidder.bid(needs)] : [];
    const [own, others] = await Promise.all([Promise.all(ownBid), fanOut(candidates, (peer) => callPeer(pool, peer, "bid", needs))]);
    const unanswered = others.missing.map(({ node, reason }) => declinedBid(node, reason));
    const bids = [...own, ...others.answers.map(({ value }) => value), ...unanswered];
    const summary = bids.map((bid) => ({ node: bid.node, load: loadOf(bid), declines: bid.declines }));
    pool.log.debug("Bids received", { request_id: requestIdOf(request), name, bids: summary });
    return bids;
  }

  private rankBids(request: Pick<RoutedRequest, "headers">, bids: Bid[]): RankedBid[] {
    const ranked = rank(bids, (node) => this.inFlightOf(node), Math.random);
    this.deps.pool.log.debug("Bids ranked", { request_id: requestIdOf(request), order: ranked.map(orderEntry) });
    return ranked;
  }

  private async tryInOrder(request: RoutedRequest, plan: Plan, bids: Bid[], ranked: RankedBid[]): Promise<Reply> {
    const { log } = this.deps.pool;
    const request_id = requestIdOf(request);
    let firstRefusal: Reply | AppError | undefined;
    let registryRefusals = 0;
    for (const { bid, ahead } of ranked) {
      log.debug("Node chosen", { request_id, name: plan.name, node: bid.node });
      const outcome = await this.sendTo(bid.node, request, plan);
      const code = errorCodeOf(outcome);
      if (code && REGISTRY_REFUSALS.has(code)) registryRefusals += 1;
      else if (!code || !TRY_NEXT.has(code) || hasBegun(outcome)) {
        if (outcome instanceof AppError) throw outcome;
        if (outcome.status >= 400) return outcome;
        const pool = this.poolOf(request);
        const named = withNameWarning(outcome, plan, idempotencyKeyOf(request), pool);
        const reply = withVolumeWarning(named, bid, bids, plan.needs, pool);
        return request.explain ? withPlacement(reply, bid.node, bids, ranked) : reply;
      }
      log.debug("Run refused by node", { request_id, name: plan.name, node: bid.node, code });
      firstRefusal ??= outcome;
      // A run that has waited for a slot in vain has used up its waiting time.
      if (registryRefusals === 2 || (code === "NO_ROOM" && ahead > 0)) break;
    }
    if (firstRefusal instanceof Reply) return firstRefusal;
    throw firstRefusal ?? this.noNodeError(request, bids, plan);
  }

  private noNodeError(request: RoutedRequest, bids: Bid[], plan: Plan): AppError {
    const reasons = bids.map(({ node, declines }) => ({ node, reason: declines }));
    // Only if all nodes were asked: one that was not might take the run.
    const [code, ...otherCodes] = bids.length > this.poolOf(request).members.peers.length ? new Set(bids.map((bid) => bid.code)) : [];
    const error = new AppError(otherCodes.length === 0 && code && isErrorCode(code) ? code : "NO_NODE", {
      message: `No node can take this now: ${reasons.map(({ node, reason }) => `${node}: ${reason}`).join("; ")}`,
      details: { nodes: reasons },
    });
    return plan.mapRefusal?.(error) ?? error;
  }

  private inFlightOf(node: string): InFlight {
    const known = this.inFlight.get(node);
    if (known) return known;
    const none = { all: 0, slots: 0 };
    this.inFlight.set(node, none);
    return none;
  }

  /** @returns the node's reply, or the error why there is none */
  private async sendTo(node: string, request: RoutedRequest, plan: Plan): Promise<Reply | AppError> {
    const pool = this.poolOf(request);
    const inFlight = this.inFlightOf(node);
    const slots = plan.needs.slot ? 1 : 0;
    inFlight.all += 1;
    inFlight.slots += slots;
    try {
      if (node === pool.nodeName) return await this.runLocally(request, plan);
      const peer = pool.members.allPeers.find((each) => each.name === node);
      if (!peer) return new AppError("ENGINE_UNREACHABLE", { message: `The node ${node} has left` });
      return await forwardRun(pool, peer, request, this.runWaitMs(plan), plan);
    } catch (error) {
      if (error instanceof AppError) return error;
      if (!(error instanceof PeerFailure)) throw error;
      // A run that was not sent can't have begun. One that was sent may have: another node must not start a second.
      return error.sent
        ? new AppError("NODE_FAILED", {
            message: `${error.message}; whether ${plan.name} runs is not known: ask for it`,
            details: { node, name: plan.name },
          })
        : new AppError("ENGINE_UNREACHABLE", { message: error.message });
    } finally {
      inFlight.all -= 1;
      inFlight.slots -= slots;
    }
  }

  private async waitForRoom(request: RoutedRequest, plan: Plan): Promise<Reply> {
    const { clientSignal, streamSignal } = request;
    const timeoutSignal = AbortSignal.timeout(Math.ceil(this.deps.settings.queueWaitMs));
    const waitSignal = AbortSignal.any([streamSignal, timeoutSignal]);
    const previous = this.queue;
    let leaveQueue = () => {};
    const done = new Promise<void>((resolve) => {
      leaveQueue = resolve;
    });
    // The next one also awaits the previous ones: a run that gives up early must not let it overtake them.
    this.queue = previous.then(() => done);
    this.runsWaiting += 1;
    this.deps.pool.log.debug("Run waits for room", { request_id: requestIdOf(request), name: plan.name, waiting: this.runsWaiting });
    const waitsForTurn = async (): Promise<{ bids: Bid[]; ranked: RankedBid[] }> => {
      await settlesBefore(previous, waitSignal);
      for (;;) {
        const bids = await this.requestBids(request, plan);
        if (streamSignal.aborted) throw new AppError(clientSignal.aborted ? "ABANDONED" : "STOPPING");
        const ranked = this.rankBids(request, bids);
        if (ranked.length > 0) return { bids, ranked };
        if (timeoutSignal.aborted) throw this.noNodeError(request, bids, plan);
        await settlesBefore(sleep(BID_AGAIN_INTERVAL_MS), waitSignal);
      }
    };
    try {
      const { bids, ranked } = await measure("queue", "room", waitsForTurn);
      const outcome = this.tryInOrder(request, plan, bids, ranked);
      // The chosen node must have counted this run before the next one asks for bids, or both would get the same room.
      await Promise.race([outcome.catch(() => undefined), sleep(BID_AGAIN_INTERVAL_MS)]);
      leaveQueue();
      return await outcome;
    } finally {
      leaveQueue();
      this.runsWaiting -= 1;
    }
  }
}

const requestIdOf = ({ headers }: Pick<RoutedRequest, "headers">) => headers["x-request-id"];

/** Whether a refusal says that the run had begun: it must not run a second time elsewhere. */
function hasBegun(outcome: Reply | AppError): boolean {
  if (outcome instanceof AppError) return outcome.details.begun === true;
  if (!Buffer.isBuffer(outcome.body)) return false;
  return (JSON.parse(outcome.body.toString()) as { details?: { begun?: boolean } }).details?.begun === true;
}
