import type { Peer } from "../membership/peer";
import { PeerFailure } from "./peer-failure";

export interface MissingNode {
  node: string;
  reason: string;
}

/** The answers of several nodes, and the nodes without one. */
export interface FanOutResult<T> {
  answers: { node: string; value: T }[];
  missing: MissingNode[];
}

/**
 * Asks all peers in parallel. Peers marked missing are skipped; a peer that fails now is marked missing.
 * @param ask asks one peer, with a deadline
 * @param options.includeMissing asks peers marked missing too: after this process was frozen, its marks may be wrong
 */
export async function fanOut<T>(
  peers: readonly Peer[],
  ask: (peer: Peer) => Promise<T>,
  options: { includeMissing?: boolean } = {},
): Promise<FanOutResult<T>> {
  const result: FanOutResult<T> = { answers: [], missing: [] };
  await Promise.all(
    peers.map(async (peer) => {
      if (peer.missingReason !== undefined && !options.includeMissing)
        return void result.missing.push({ node: peer.name, reason: peer.missingReason });
      try {
        result.answers.push({ node: peer.name, value: await ask(peer) });
        peer.markAlive();
      } catch (error) {
        if (!(error instanceof PeerFailure)) throw error;
        if (!error.healthNeutral) peer.markMissing(error.reason);
        result.missing.push({ node: peer.name, reason: error.reason });
      }
    }),
  );
  return result;
}

/** The headers of a merged response: which nodes answered, and which did not. */
export function clusterHeaders(answered: readonly string[], missing: readonly MissingNode[]): Record<string, string> {
  const names = missing.map(({ node }) => node).join(", ");
  return { "X-Cluster-Nodes": answered.join(", "), ...(missing.length > 0 ? { "X-Cluster-Missing": names } : {}) };
}
