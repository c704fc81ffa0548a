import type { Peer } from "../../../../lib/cluster/membership/peer";
import type { Pool } from "../../../../lib/cluster/pool";
import { MAX_MISSED_PINGS, watchPeer } from "../../../../lib/cluster/routing/frozen-peer";
import { PeerFailure } from "../../../../lib/cluster/rpc/peer-failure";

const PEER_TIMEOUT_MS = 1500;
const peer = { name: "n2", markMissing: () => undefined } as unknown as Peer;

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

/** @param isFrozen whether a ping that is sent now stays without an answer */
function poolWith(isFrozen: () => boolean): Pool {
  const call = () =>
    isFrozen()
      ? new Promise((_, reject) => setTimeout(() => reject(new PeerFailure("n2", "no answer", true)), PEER_TIMEOUT_MS))
      : Promise.resolve({});
  return { peerTimeoutMs: PEER_TIMEOUT_MS, client: { call } } as unknown as Pool;
}

test("a stream of a peer that freezes is cut once, within 5 s", async () => {
  const onFrozen = jest.fn();
  watchPeer(
    poolWith(() => true),
    peer,
    MAX_MISSED_PINGS,
    onFrozen,
  );
  await jest.advanceTimersByTimeAsync(5000);
  expect(onFrozen).toHaveBeenCalledTimes(1);
  await jest.advanceTimersByTimeAsync(60_000);
  expect(onFrozen).toHaveBeenCalledTimes(1);
});

test("a stream of a peer that misses fewer pings in a row goes on", async () => {
  const onFrozen = jest.fn();
  let sent = 0;
  const stop = watchPeer(
    poolWith(() => ++sent % MAX_MISSED_PINGS !== 0),
    peer,
    MAX_MISSED_PINGS,
    onFrozen,
  );
  await jest.advanceTimersByTimeAsync(60_000);
  expect(onFrozen).not.toHaveBeenCalled();
  stop();
});
