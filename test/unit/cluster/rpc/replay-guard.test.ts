import { MAX_REQUEST_AGE_MS, ReplayGuard } from "../../../../lib/cluster/rpc/replay-guard";
import { type PeerRequest, Signatures } from "../../../../lib/cluster/rpc/signatures";

const STARTED_AT = 1_000_000;
const signatures = new Signatures(["key"]);

/** A node that verifies headers as a node of a cluster does; its clock is set by the test. */
function startNode(process: string, options: { now?: number; untimed?: string[]; sharesPort?: boolean } = {}) {
  const time = { now: options.now ?? STARTED_AT };
  const guard = new ReplayGuard({
    process,
    acceptsUntimed: (name) => options.untimed?.includes(name) ?? false,
    sharesPort: options.sharesPort ?? false,
    clock: () => time.now,
  });
  // Deriving a key takes longer than the tests themselves.
  const verifier = Object.assign(Object.create(Signatures.prototype), signatures, { usedClaims: new Map() }) as Signatures;
  const accepts = (header: string) => {
    const claim = verifier.verifyRequest(header, { method: "DELETE", url: "/web", to: "n2" });
    return claim !== undefined && guard.accept(claim);
  };
  return { time, guard, accepts };
}

function record(stamp: { process?: string; at?: number } = {}): string {
  const claim: PeerRequest = { from: "n1", to: "n2", method: "DELETE", url: "/web", caller: "anna", left: 1000, ...stamp };
  return signatures.signRequest(claim);
}

describe("ReplayGuard", () => {
  test("a recorded request is accepted once, and refused after a restart of its receiver", () => {
    const before = startNode("p1");
    before.time.now += 5;
    const recorded = record({ process: "p1", at: before.guard.stamp().clock });
    expect([before.accepts(recorded), before.accepts(recorded)]).toEqual([true, false]);
    expect(startNode("p2", { now: STARTED_AT + 10 }).accepts(recorded)).toBe(false);
    // Under pm2 two processes of a node share its port: requests for either are accepted, but none from before the process began.
    expect(startNode("p2", { now: STARTED_AT + 10, sharesPort: true }).accepts(recorded)).toBe(false);
    expect(startNode("p2", { now: STARTED_AT, sharesPort: true }).accepts(recorded)).toBe(true);
  });

  test("a recorded request is refused after 100,000 others, within its time and after it", () => {
    const node = startNode("p1");
    const claim: PeerRequest = { from: "n1", to: "n2", method: "GET", url: "/", caller: "", left: 0 };
    const stampAt = (at: number) => ({ ...claim, nonce: `n${at}`, process: "p1", at });
    const recorded = stampAt(STARTED_AT + 1);
    node.time.now += 1;
    expect(node.guard.accept(recorded)).toBe(true);
    for (let other = 0; other < 100_000; other++) {
      node.time.now += 0.1;
      node.guard.accept(stampAt(node.time.now));
    }
    expect(node.guard.accept(recorded)).toBe(false);
    node.time.now += 2 * MAX_REQUEST_AGE_MS;
    expect(node.guard.accept(stampAt(node.time.now))).toBe(true);
    expect(node.guard.accept(recorded)).toBe(false);
  });

  test("a request that was held back for longer than the accepted age is refused, and one from the future too", () => {
    const node = startNode("p1");
    node.time.now += 10 * MAX_REQUEST_AGE_MS;
    const { now } = node.time;
    const accepted = [-MAX_REQUEST_AGE_MS - 1, MAX_REQUEST_AGE_MS + 1, 1 - MAX_REQUEST_AGE_MS, MAX_REQUEST_AGE_MS].map((ageMs) =>
      node.accepts(record({ process: "p1", at: now + ageMs })),
    );
    expect(accepted).toEqual([false, false, true, true]);
  });

  test("a request without a time is accepted from a node of an earlier version only", () => {
    expect(startNode("p1").accepts(record())).toBe(false);
    expect(startNode("p1", { untimed: ["n1"] }).accepts(record())).toBe(true);
    expect(startNode("p1", { untimed: ["n3"] }).accepts(record())).toBe(false);
  });
});
