import type { Peer } from "../membership/peer";
import { PeerFailure } from "./peer-failure";

export interface Missing {
  node: string;
  reason: string;
}

/** What came back from several nodes, and who gave nothing. */
export interface Gathered<T> {
  answers: { node: string; value: T }[];
  missing: Missing[];
}

/**
 * Asks all peers at once. Those known to be missing are not waited for; one that fails now is known to be from then on.
 * @param ask one peer, within its deadline
 * @param options.missingToo ask them all the same: whoever stood still itself takes others for missing
 */
export async function fanOut<T>(
  peers: readonly Peer[],
  ask: (peer: Peer) => Promise<T>,
  options: { missingToo?: boolean } = {},
): Promise<Gathered<T>> {
  const gathered: Gathered<T> = { answers: [], missing: [] };
  await Promise.all(
    peers.map(async (peer) => {
      if (peer.missing !== undefined && !options.missingToo) return void gathered.missing.push({ node: peer.name, reason: peer.missing });
      try {
        gathered.answers.push({ node: peer.name, value: await ask(peer) });
        peer.answered();
      } catch (error) {
        if (!(error instanceof PeerFailure)) throw error;
        if (!error.blameless) peer.failed(error.reason);
        gathered.missing.push({ node: peer.name, reason: error.reason });
      }
    }),
  );
  return gathered;
}

/** Who answered and who didn't, as every merged answer says. */
export function clusterHeaders(answered: readonly string[], missing: readonly Missing[]): Record<string, string> {
  const names = missing.map(({ node }) => node).join(", ");
  return { "X-Cluster-Nodes": answered.join(", "), ...(missing.length > 0 ? { "X-Cluster-Missing": names } : {}) };
}
