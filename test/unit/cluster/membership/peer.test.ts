import fc from "fast-check";
import { peerOf, recordOf } from "../../../support/unit/cluster-parts";

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

/** ms after a failure until the peer is due. */
function pauseOf(peer: ReturnType<typeof peerOf>): number {
  let pause = 0;
  for (; !peer.due && pause < 100_000; pause += 50) jest.advanceTimersByTime(50);
  return pause;
}

test("a peer nothing is known against is neither missing nor due", () => {
  const peer = peerOf("n1");
  expect(peer.missing).toBeUndefined();
  expect(peer.due).toBe(false);
});

test("a peer that failed is missing for the last reason, and due again after a pause that doubles up to 15 s", () => {
  const peer = peerOf("n1");
  const pauses = Array.from({ length: 9 }, (_, index) => {
    peer.failed(`reason ${index}`);
    expect(peer.missing).toBe(`reason ${index}`);
    expect(peer.due).toBe(false);
    return pauseOf(peer);
  });
  expect(pauses).toEqual([250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
});

test("an answer ends all that, and the next pause is the first again, however often it had failed", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), (failures) => {
      const peer = peerOf("n1");
      for (let index = 0; index < failures; index += 1) peer.failed("refused");
      peer.answered();
      expect(peer.missing).toBeUndefined();
      expect(peer.due).toBe(false);
      peer.failed("refused");
      expect(pauseOf(peer)).toBe(250);
    }),
  );
});

test.each([
  ["a new record", { sequence: 2 }],
  ["a record of a new process", { process: "another" }],
])("%s makes a missing peer due at once, though still missing, and its next pause the first again", (_what, fields) => {
  const peer = peerOf("n1");
  for (let index = 0; index < 5; index += 1) peer.failed("refused");
  jest.advanceTimersByTime(100);
  const heard = peer.lastSeen;
  peer.published(recordOf("n1", fields));
  expect(peer.due).toBe(true);
  expect(peer.missing).toBe("refused");
  expect(peer.lastSeen).toBeGreaterThan(heard);
  peer.failed("refused");
  expect(pauseOf(peer)).toBe(250);
});

test("the record that is already known says nothing new of a peer", () => {
  const peer = peerOf("n1");
  peer.failed("refused");
  const heard = peer.lastSeen;
  jest.advanceTimersByTime(100);
  peer.published(recordOf("n1"));
  expect(peer.due).toBe(false);
  expect(peer.lastSeen).toBe(heard);
});

test("a peer is heard of when it answers, not when it fails", () => {
  const peer = peerOf("n1");
  const first = peer.lastSeen;
  jest.advanceTimersByTime(100);
  peer.failed("refused");
  expect(peer.lastSeen).toBe(first);
  peer.answered();
  expect(peer.lastSeen).toBe(first + 100);
});

test("a peer that moved is known by its new address", () => {
  const peer = peerOf("n1");
  peer.published(recordOf("n1", { sequence: 2, url: "http://elsewhere:1" }));
  expect(peer.record.url).toBe("http://elsewhere:1");
  expect(peer.name).toBe("n1");
});
