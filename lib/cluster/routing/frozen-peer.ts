import type { IncomingMessage } from "node:http";
import type { Peer } from "../membership/peer";
import { callPeer, learnReceiver, type Pool } from "../pool";
import type { PeerCall } from "../rpc/peer-client";
import { PeerFailure } from "../rpc/peer-failure";

/** A ping refused in these ways can mean a graceful stop; had the peer died, the connection in use would break too. */
const REFUSED_PINGS = new Set(["ECONNREFUSED", "ECONNRESET", "it closed the connection"]);
/** Pings in a row that a peer misses until a streaming body is cut. A wait for a reply ends after one: a cut stream can't be resumed. */
export const MAX_MISSED_PINGS = 3;
/** Of the peer timeout, from a ping to the next: with the default of 1.5 s a stream of a frozen peer is cut after 4.5 to 4.9 s. */
const PING_INTERVAL_SHARE = 1 / 4;

/**
 * Sends a request to a peer and pings the peer until the response is read: a run may take any time and a followed log has no end,
 * but a frozen peer must not keep its client waiting.
 * @throws PeerFailure
 */
export async function sendWatched(pool: Pool, peer: Peer, call: PeerCall): Promise<IncomingMessage> {
  const frozen = new AbortController();
  // A streamed body can't be sent a second time.
  const maxMissed = call.body === undefined || Buffer.isBuffer(call.body) ? 1 : MAX_MISSED_PINGS;
  const stopWatching = watchPeer(pool, peer, maxMissed, (failure) => frozen.abort(failure));
  const signal = call.signal ? AbortSignal.any([call.signal, frozen.signal]) : frozen.signal;
  try {
    await learnReceiver(pool, peer);
    const response = await pool.client.send(peer, { ...call, signal });
    const source = response.statusCode === 101 ? response.socket : response;
    const stopWatchingReply = watchPeer(pool, peer, MAX_MISSED_PINGS, (failure) => source.destroy(failure.toAppError()));
    // An error of a reply that nobody reads must not end the process.
    source.once("close", stopWatchingReply).on("error", () => undefined);
    return response;
  } catch (error) {
    if (!frozen.signal.aborted) throw error;
    throw new PeerFailure(peer.name, (frozen.signal.reason as PeerFailure).reason, true);
  } finally {
    stopWatching();
  }
}

/**
 * Pings a peer, one ping after the other.
 * @param maxMissed pings in a row without an answer after which `onFrozen` is called
 * @returns stops the pings
 */
export function watchPeer(pool: Pool, peer: Peer, maxMissed: number, onFrozen: (failure: PeerFailure) => void): () => void {
  const intervalMs = pool.peerTimeoutMs * PING_INTERVAL_SHARE;
  let missed = 0;
  let stopped = false;
  const ping = async () => {
    const sentAt = performance.now();
    const failure = await callPeer(pool, peer, "ping", {}).then(
      () => undefined,
      (reason: PeerFailure) => reason,
    );
    if (stopped) return;
    if (!failure) missed = 0;
    else if (!failure.healthNeutral && !REFUSED_PINGS.has(failure.reason)) missed += 1;
    if (failure && missed >= maxMissed) {
      peer.markMissing(failure.reason);
      return onFrozen(failure);
    }
    wait(intervalMs - (performance.now() - sentAt));
  };
  let timer: NodeJS.Timeout;
  const wait = (ms: number) => {
    timer = setTimeout(() => void ping(), ms).unref();
  };
  wait(intervalMs);
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
