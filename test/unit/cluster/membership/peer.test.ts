import fc from "fast-check";
import { Peer } from "../../../../lib/cluster/membership/peer";
import { peerOf, recordOf } from "../../../support/unit/cluster-parts";

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

/** ms until a retry is due. */
function pauseOf(peer: ReturnType<typeof peerOf>): number {
  let pause = 0;
  for (; !peer.retryDue && pause < 100_000; pause += 50) jest.advanceTimersByTime(50);
  return pause;
}

test("a new peer is not missing and needs no retry", () => {
  const peer = peerOf("n1");
  expect(peer.missingReason).toBeUndefined();
  expect(peer.retryDue).toBe(false);
});

test("each failure updates the reason and doubles the pause, up to 15 s", () => {
  const peer = peerOf("n1");
  const pauses = Array.from({ length: 9 }, (_, index) => {
    peer.markMissing(`reason ${index}`);
    expect(peer.missingReason).toBe(`reason ${index}`);
    expect(peer.retryDue).toBe(false);
    return pauseOf(peer);
  });
  expect(pauses).toEqual([250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
});

test("an answer ends the missing state and resets the pause", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), (failures) => {
      const peer = peerOf("n1");
      for (let index = 0; index < failures; index += 1) peer.markMissing("refused");
      peer.markAlive();
      expect(peer.missingReason).toBeUndefined();
      expect(peer.retryDue).toBe(false);
      peer.markMissing("refused");
      expect(pauseOf(peer)).toBe(250);
    }),
  );
});

test.each([
  ["a new record", { sequence: 2 }],
  ["a record of a new process", { process: "another" }],
])("%s makes the retry due immediately and resets the pause; the peer stays missing", (_name, fields) => {
  const peer = peerOf("n1");
  for (let index = 0; index < 5; index += 1) peer.markMissing("refused");
  jest.advanceTimersByTime(100);
  const seenAt = peer.lastSeenAt;
  peer.updateRecord(recordOf("n1", fields));
  expect(peer.retryDue).toBe(true);
  expect(peer.missingReason).toBe("refused");
  expect(peer.lastSeenAt).toBeGreaterThan(seenAt);
  peer.markMissing("refused");
  expect(pauseOf(peer)).toBe(250);
});

test("a record that is already known changes nothing", () => {
  const peer = peerOf("n1");
  peer.markMissing("refused");
  const seenAt = peer.lastSeenAt;
  jest.advanceTimersByTime(100);
  peer.updateRecord(recordOf("n1"));
  expect(peer.retryDue).toBe(false);
  expect(peer.lastSeenAt).toBe(seenAt);
});

test("an answer updates lastSeenAt, a failure does not", () => {
  const peer = peerOf("n1");
  const first = peer.lastSeenAt;
  jest.advanceTimersByTime(100);
  peer.markMissing("refused");
  expect(peer.lastSeenAt).toBe(first);
  peer.markAlive();
  expect(peer.lastSeenAt).toBe(first + 100);
});

test("a new record updates the address", () => {
  const peer = peerOf("n1");
  peer.updateRecord(recordOf("n1", { sequence: 2, url: "http://elsewhere:1" }));
  expect(peer.record.url).toBe("http://elsewhere:1");
  expect(peer.name).toBe("n1");
});

test("the listener is called when the peer becomes missing and when it answers again, not in between", () => {
  const events: string[] = [];
  const peer = new Peer(recordOf("n1"), {
    onMissing: ({ name }, reason) => events.push(`${name} missing: ${reason}`),
    onAlive: ({ name }) => events.push(`${name} alive`),
  });
  peer.markAlive();
  peer.markMissing("timed out");
  peer.markMissing("refused");
  peer.markAlive();
  peer.markAlive();
  expect(events).toEqual(["n1 missing: timed out", "n1 alive"]);
});
