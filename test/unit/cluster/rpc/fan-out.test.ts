import fc from "fast-check";
import type { Peer } from "../../../../lib/cluster/membership/peer";
import { fanOut } from "../../../../lib/cluster/rpc/fan-out";
import { noAnswer, peerOf } from "../../../support/unit/cluster-parts";

const FOREVER = new Promise<never>(() => {});

type Kind = "answers" | "known to be missing" | "fails" | "fails blamelessly";
const kinds = fc.constantFrom<Kind>("answers", "known to be missing", "fails", "fails blamelessly");

function peersOf(all: Kind[]): Peer[] {
  return all.map((kind, index) => {
    const peer = peerOf(`n${index}`);
    if (kind === "known to be missing") peer.failed("known before");
    return peer;
  });
}

test("every peer is either in the answers or named as missing, once; only what failed now through its own fault is missing afterwards", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(kinds, { maxLength: 6 }), fc.scheduler(), async (all, scheduler) => {
      const peers = peersOf(all);
      const kindOf = (peer: Peer) => all[peers.indexOf(peer)];
      const gathering = fanOut(peers, async (peer) => {
        await scheduler.schedule(Promise.resolve());
        if (kindOf(peer) === "fails") throw noAnswer(peer.name);
        if (kindOf(peer) === "fails blamelessly") throw noAnswer(peer.name, true);
        return peer.name;
      });
      await scheduler.waitAll();
      const { answers, missing } = await gathering;
      const named = (...wanted: Kind[]) => peers.flatMap((peer, index) => (wanted.includes(all[index] as Kind) ? [peer.name] : []));
      expect(answers.map(({ node }) => node).sort()).toEqual(named("answers"));
      for (const { node, value } of answers) expect(value).toBe(node);
      expect(missing.map(({ node }) => node).sort()).toEqual(named("known to be missing", "fails", "fails blamelessly"));
      const missingNow = peers.filter((peer) => peer.missing !== undefined).map(({ name }) => name);
      expect(missingNow).toEqual(named("known to be missing", "fails"));
    }),
  );
});

test("a peer known to be missing is not asked, and named with its reason", async () => {
  const [dead, alive] = [peerOf("n1"), peerOf("n2")];
  dead.failed("timed out");
  const gathered = await fanOut([dead, alive], async (peer) => (peer === dead ? FOREVER : "here"));
  expect(gathered).toEqual({ answers: [{ node: "n2", value: "here" }], missing: [{ node: "n1", reason: "timed out" }] });
});

test("missing ones are asked too if that is wanted, and one that answers is missing no longer", async () => {
  const [back, dead] = [peerOf("n1"), peerOf("n2")];
  for (const peer of [back, dead]) peer.failed("timed out");
  const ask = async (peer: Peer) => (peer === back ? "here" : Promise.reject(noAnswer("n2")));
  const gathered = await fanOut([back, dead], ask, { missingToo: true });
  expect(gathered).toEqual({ answers: [{ node: "n1", value: "here" }], missing: [{ node: "n2", reason: "n2 refused" }] });
  expect(back.missing).toBeUndefined();
  expect(dead.missing).toBe("n2 refused");
});

test("an error that is no peer's failure is passed on, and held against nobody", async () => {
  const peers = [peerOf("n1"), peerOf("n2")];
  const ask = async (peer: Peer) => (peer.name === "n2" ? Promise.reject(new TypeError("a bug")) : "here");
  await expect(fanOut(peers, ask)).rejects.toThrow(new TypeError("a bug"));
  expect(peers.map(({ missing }) => missing)).toEqual([undefined, undefined]);
});

test("all are asked at once", async () => {
  const asked: string[] = [];
  const names = ["n1", "n2", "n3"];
  void fanOut(names.map(peerOf), (peer) => {
    asked.push(peer.name);
    return FOREVER;
  });
  expect(asked).toEqual(names);
});
