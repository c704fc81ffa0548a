import { finished, Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { AppError, type ErrorCode, isErrorCode } from "../../errors";
import { errorCodeOf, Reply } from "../../support/reply";
import { settlesBefore } from "../../support/settles-before";
import { callPeer, type Pool } from "../pool";
import { forwardRun } from "../routing/forward";
import { locateContainer, reachPeer } from "../routing/locate";
import { idempotencyKeyOf, type RoutedRequest } from "../routing/routed-request";
import type { Plan } from "../routing/where";
import { fanOut } from "../rpc/fan-out";
import { PeerFailure } from "../rpc/peer-failure";
import type { Bidder } from "./bidder";
import { runOnce } from "./idempotency";
import { type Bid, type InFlight, type RankedBid, rank, shortlist } from "./scoring";

/** Refusals after which another node may do: what the bid could not know. */
const TRY_NEXT: ReadonlySet<ErrorCode> = new Set([
  "PORT_TAKEN",
  "ENGINE_UNREACHABLE",
  "STOPPING",
  "NOT_ALLOWED",
  "ENGINE_ERROR",
  "NO_ROOM",
]);
/** What a registry says to one node it mostly says to all: one more is asked, whose credentials or network may be others. */
const SECOND_OPINION: ReadonlySet<ErrorCode> = new Set(["IMAGE_NOT_FOUND", "IMAGE_DENIED", "REGISTRY_UNREACHABLE"]);
/** How often (ms) a run that waits for room asks again. */
const ASK_AGAIN = 250;

export interface PlacementSettings {
  /** ms that a run may wait for room */
  queueWaitMs: number;
  /** runs that may wait at a time */
  queueLength: number;
  /** ms that a placed run is waited for */
  runWaitMs: number;
}

/** Gives each run to the node that takes it best. */
export class Scheduler {
  /** Runs given to a node and not answered yet. */
  private readonly underWay = new Map<string, InFlight>();
  /** First come, first served: each waits for the one before it. */
  private queue: Promise<unknown> = Promise.resolve();
  private waiting = 0;

  constructor(
    private readonly pool: Pool,
    private readonly bidder: Bidder,
    private readonly settings: PlacementSettings,
  ) {}

  /**
   * Runs a plan, once for each Idempotency-Key: on the node that the client named, or else on the best.
   * @throws AppError as `place`; NODE_NOT_FOUND
   * @throws PeerFailure if the named node doesn't answer
   */
  run(request: RoutedRequest, plan: Plan): Promise<Reply> {
    const findHolders = async (name: string) => (await locateContainer(this.pool, name, { prefix: false })).owners;
    return runOnce(plan, idempotencyKeyOf(request), findHolders, () =>
      request.pinnedNode === undefined ? this.place(request, plan) : this.runOn(request.pinnedNode, request, plan),
    );
  }

  private async runOn(nodeName: string, request: RoutedRequest, plan: Plan): Promise<Reply> {
    const { pool, settings } = this;
    if (nodeName === pool.self) return this.takeHere(request, plan);
    return forwardRun(pool, await reachPeer(pool, nodeName), request, settings.runWaitMs + (plan.extraWaitMs ?? 0), plan);
  }

  /** @throws AppError NO_NODE with every node's reason; PORT_TAKEN or IMAGE_NOT_FOUND if that is all nodes' reason; whatever the chosen node says */
  async place(exchange: RoutedRequest, plan: Plan): Promise<Reply> {
    const bids = await this.ask(plan);
    const ranked = this.ranked(bids);
    if (ranked.length > 0) return this.tryEach(exchange, plan, bids, ranked);
    if (this.settings.queueWaitMs > 0 && this.waiting < this.settings.queueLength) return this.wait(exchange, plan);
    throw this.noNode(bids, plan);
  }

  /** Runs it here because another node has decided so. */
  async runLocally(exchange: RoutedRequest, plan: Plan): Promise<Reply> {
    const release = this.bidder.accept(plan.needs);
    const end = this.bidder.occupySlot(plan.needs);
    try {
      const reply = await exchange.runHere(plan.body, release);
      if (reply.body instanceof Readable) finished(reply.body, end);
      else end();
      return reply;
    } catch (error) {
      end();
      throw error;
    } finally {
      release();
    }
  }

  private async ask({ needs }: Plan): Promise<Bid[]> {
    const { pool } = this;
    const own = { node: undefined, load: 0, engine: "ok" as const };
    const peers = pool.members.peers
      .filter((peer) => peer.missingReason === undefined)
      .map((peer) => ({ node: peer, load: peer.record.load, engine: peer.record.engine }));
    const listed = shortlist([own, ...peers], Math.random);
    const asked = listed.flatMap(({ node }) => node ?? []);
    const [mine, others] = await Promise.all([this.bidder.bid(needs), fanOut(asked, (peer) => callPeer(pool, peer, "bid", needs))]);
    const silent = others.missing.map(({ node, reason }) => declined(node, reason));
    return [mine, ...others.answers.map(({ value }) => value), ...silent];
  }

  private ranked(bids: Bid[]): RankedBid[] {
    return rank(bids, (node) => this.given(node), Math.random);
  }

  private async tryEach(exchange: RoutedRequest, plan: Plan, bids: Bid[], ranked: RankedBid[]): Promise<Reply> {
    let refusal: Reply | AppError | undefined;
    let opinions = 0;
    for (const { bid, ahead } of ranked) {
      const outcome = await this.give(exchange, plan, bid.node);
      const code = errorCodeOf(outcome);
      if (code && SECOND_OPINION.has(code)) opinions += 1;
      else if (!code || !TRY_NEXT.has(code) || hasBegun(outcome)) {
        if (outcome instanceof AppError) throw outcome;
        return exchange.explain && outcome.status < 400 ? explained(outcome, bid.node, bids, ranked) : outcome;
      }
      refusal ??= outcome;
      // Who waited in vain has had its time.
      if (opinions === 2 || (code === "NO_ROOM" && ahead > 0)) break;
    }
    if (refusal instanceof Reply) return refusal;
    throw refusal ?? this.noNode(bids, plan);
  }

  private noNode(bids: Bid[], plan: Plan): AppError {
    const reasons = bids.map(({ node, declines }) => ({ node, reason: declines }));
    // A node that was not asked might take it.
    const [code, ...others] = bids.length > this.pool.members.peers.length ? new Set(bids.map((bid) => bid.code)) : [];
    const error = new AppError(others.length === 0 && code && isErrorCode(code) ? code : "NO_NODE", {
      message: `No node can take this now: ${reasons.map(({ node, reason }) => `${node}: ${reason}`).join("; ")}`,
      details: { nodes: reasons },
    });
    return plan.mapRefusal?.(error) ?? error;
  }

  private given(node: string): InFlight {
    const known = this.underWay.get(node);
    if (known) return known;
    const none = { all: 0, slots: 0 };
    this.underWay.set(node, none);
    return none;
  }

  private async give(exchange: RoutedRequest, plan: Plan, node: string): Promise<Reply | AppError> {
    const given = this.given(node);
    const slots = plan.needs.slot ? 1 : 0;
    given.all += 1;
    given.slots += slots;
    try {
      if (node === this.pool.nodeName) return await this.runLocally(exchange, plan);
      const peer = this.pool.members.peers.find((each) => each.name === node);
      if (!peer) return new AppError("ENGINE_UNREACHABLE", { message: `The node ${node} has left` });
      return await forwardRun(this.pool, peer, exchange, this.settings.runWaitMs + (plan.extraWaitMs ?? 0), plan);
    } catch (error) {
      if (error instanceof AppError) return error;
      if (!(error instanceof PeerFailure)) throw error;
      // Not sent: it can't have begun. Sent: it may have, and the client can ask by the name.
      return error.sent
        ? new AppError("NODE_FAILED", {
            message: `${error.message}; whether ${plan.name} runs is not known: ask for it`,
            details: { node, name: plan.name },
          })
        : new AppError("ENGINE_UNREACHABLE", { message: error.message });
    } finally {
      given.all -= 1;
      given.slots -= slots;
    }
  }

  private async wait(exchange: RoutedRequest, plan: Plan): Promise<Reply> {
    const late = AbortSignal.timeout(Math.ceil(this.settings.queueWaitMs));
    const { clientSignal, streamSignal } = exchange;
    const over = AbortSignal.any([streamSignal, late]);
    const before = this.queue;
    let leave = () => {};
    const left = new Promise<void>((resolve) => {
      leave = resolve;
    });
    // Who leaves out of turn doesn't let the next one pass those before.
    this.queue = before.then(() => left);
    this.waiting += 1;
    try {
      await settlesBefore(before, over);
      for (;;) {
        const bids = await this.ask(plan);
        if (streamSignal.aborted) throw new AppError(clientSignal.aborted ? "ABANDONED" : "STOPPING");
        const ranked = this.ranked(bids);
        if (ranked.length > 0) {
          const outcome = this.tryEach(exchange, plan, bids, ranked);
          // Its node is to have counted it before the next one asks: else both are given the same room.
          await Promise.race([outcome.catch(() => undefined), sleep(ASK_AGAIN)]);
          leave();
          return await outcome;
        }
        if (late.aborted) throw this.noNode(bids, plan);
        await settlesBefore(sleep(ASK_AGAIN), over);
      }
    } finally {
      leave();
      this.waiting -= 1;
    }
  }
}

/** Whether what failed had run already, and says so: it is not to run a second time. */
function hasBegun(outcome: Reply | AppError): boolean {
  if (outcome instanceof AppError) return outcome.details.begun === true;
  if (!Buffer.isBuffer(outcome.body)) return false;
  return (JSON.parse(outcome.body.toString()) as { details?: { begun?: boolean } }).details?.begun === true;
}

function explained(reply: Reply, chosen: string, bids: Bid[], ranked: RankedBid[]): Reply {
  const text = Buffer.isBuffer(reply.body) ? reply.body.toString() : JSON.stringify(reply.body);
  const order = ranked.map(({ bid, ahead, load }) => ({ node: bid.node, ahead, load }));
  const placement = { chosen, why: "volumes first, then where nothing waits, then the image, then the least load", order, bids };
  const { "content-length": _, ...headers } = reply.headers;
  return new Reply(reply.status, { ...(JSON.parse(text) as object), placement }, headers);
}

function declined(node: string, reason: string): Bid {
  return {
    node,
    declines: `no answer: ${reason}`,
    cpu: 0,
    memory: 0,
    reservedCpu: 0,
    reservedMemory: 0,
    recent: 0,
    hasImage: false,
    hasVolumes: false,
  };
}
