import fc from "fast-check";
import type { Peer } from "../../../../lib/cluster/membership/peer";
import { fanOut } from "../../../../lib/cluster/rpc/fan-out";
import { noAnswer, peerOf } from "../../../support/unit/cluster-parts";

const NEVER = new Promise<never>(() => {});

type Kind = "answers" | "marked missing" | "fails" | "fails, health-neutral";
const kinds = fc.constantFrom<Kind>("answers", "marked missing", "fails", "fails, health-neutral");

function peersOf(all: Kind[]): Peer[] {
  return all.map((kind, index) => {
    const peer = peerOf(`n${index}`);
    if (kind === "marked missing") peer.markMissing("known before");
    return peer;
  });
}

test("every peer is either in the answers or named missing, once; only a failure that tells of its health marks it missing", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(kinds, { maxLength: 6 }), fc.scheduler(), async (all, scheduler) => {
      const peers = peersOf(all);
      const kindOf = (peer: Peer) => all[peers.indexOf(peer)];
      const pending = fanOut(peers, async (peer) => {
        await scheduler.schedule(Promise.resolve());
        if (kindOf(peer) === "fails") throw noAnswer(peer.name);
        if (kindOf(peer) === "fails, health-neutral") throw noAnswer(peer.name, true);
        return peer.name;
      });
      await scheduler.waitAll();
      const { answers, missing } = await pending;
      const named = (...wanted: Kind[]) => peers.flatMap((peer, index) => (wanted.includes(all[index] as Kind) ? [peer.name] : []));
      expect(answers.map(({ node }) => node).sort()).toEqual(named("answers"));
      for (const { node, value } of answers) expect(value).toBe(node);
      expect(missing.map(({ node }) => node).sort()).toEqual(named("marked missing", "fails", "fails, health-neutral"));
      const missingNow = peers.filter((peer) => peer.missingReason !== undefined).map(({ name }) => name);
      expect(missingNow).toEqual(named("marked missing", "fails"));
    }),
  );
});

test("a peer marked missing is not asked, and is named with its reason", async () => {
  const [dead, alive] = [peerOf("n1"), peerOf("n2")];
  dead.markMissing("timed out");
  const result = await fanOut([dead, alive], async (peer) => (peer === dead ? NEVER : "here"));
  expect(result).toEqual({ answers: [{ node: "n2", value: "here" }], missing: [{ node: "n1", reason: "timed out" }] });
});

test("with includeMissing, missing peers are asked too, and an answer ends the mark", async () => {
  const [back, dead] = [peerOf("n1"), peerOf("n2")];
  for (const peer of [back, dead]) peer.markMissing("timed out");
  const ask = async (peer: Peer) => (peer === back ? "here" : Promise.reject(noAnswer("n2")));
  const result = await fanOut([back, dead], ask, { includeMissing: true });
  expect(result).toEqual({ answers: [{ node: "n1", value: "here" }], missing: [{ node: "n2", reason: "n2 refused" }] });
  expect(back.missingReason).toBeUndefined();
  expect(dead.missingReason).toBe("n2 refused");
});

test("an error that is no PeerFailure is passed on and marks no peer missing", async () => {
  const peers = [peerOf("n1"), peerOf("n2")];
  const ask = async (peer: Peer) => (peer.name === "n2" ? Promise.reject(new TypeError("a bug")) : "here");
  await expect(fanOut(peers, ask)).rejects.toThrow(new TypeError("a bug"));
  expect(peers.map(({ missingReason }) => missingReason)).toEqual([undefined, undefined]);
});

test("all peers are asked in parallel", async () => {
  const asked: string[] = [];
  const names = ["n1", "n2", "n3"];
  void fanOut(names.map(peerOf), (peer) => {
    asked.push(peer.name);
    return NEVER;
  });
  expect(asked).toEqual(names);
});
