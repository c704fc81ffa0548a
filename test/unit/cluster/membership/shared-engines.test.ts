import { Peer } from "../../../../lib/cluster/membership/peer";
import { SharedEngines, sharedEngineWarnings } from "../../../../lib/cluster/membership/shared-engines";
import { recordOf } from "../../../support/unit/cluster-parts";
import { quietLog } from "../../../support/unit/quiet-log";

const peerOf = (name: string, engine_id: string, same_engine: string[] = []) =>
  new Peer(recordOf(name, { process: `process of ${name}`, engine_id, same_engine }));

/** Node n0, whose engine has the id `id`; `sees` are the peers whose engine has the volume that n0 creates. */
function nodeOf({ sees = [], failing = [] }: { sees?: string[]; failing?: string[] }) {
  const { log, entries } = quietLog();
  const volumes = new Set<string>();
  const asked: string[] = [];
  const engines = new SharedEngines({
    nodeName: "n0",
    engineId: () => "id",
    async withVolume(name, use) {
      volumes.add(name);
      await use();
      volumes.delete(name);
    },
    async peerHasVolume(peer, name) {
      asked.push(peer.name);
      if (failing.includes(peer.name)) throw new Error("no answer");
      return volumes.has(name) && sees.includes(peer.name);
    },
    log,
  });
  const names = (peers: Peer[]) => engines.representatives(peers).map(({ name }) => name);
  return { engines, asked, volumes, entries, names };
}

describe("SharedEngines", () => {
  test("an equal engine id is proven by a volume: the node that sees it is left out, a copied machine is not", async () => {
    const { engines, asked, volumes, entries, names } = nodeOf({ sees: ["twin"] });
    const peers = [peerOf("copy", "id"), peerOf("other", "another"), peerOf("twin", "id")];
    await engines.compare(peers);
    await engines.compare(peers);
    expect(asked.sort()).toEqual(["copy", "twin"]);
    expect(volumes.size).toBe(0);
    expect(names(peers)).toEqual(["copy", "other"]);
    expect(engines.names(peers)).toEqual(["twin"]);
    expect(entries).toEqual([expect.objectContaining({ level: "warn", message: "Another node uses this node's Docker engine" })]);
  });

  test("a peer that can't be asked is asked again; one that has proven it already is believed", async () => {
    const { engines, asked, names } = nodeOf({ failing: ["silent"] });
    const peers = [peerOf("silent", "id"), peerOf("twin", "id", ["n0"])];
    // Before this node has compared anything.
    expect(names(peers)).toEqual(["silent"]);
    await engines.compare(peers);
    await engines.compare(peers);
    expect(asked).toEqual(["silent", "silent"]);
    expect(names(peers)).toEqual(["silent"]);
  });

  test("of other nodes that use one engine the first that answers stands for all", async () => {
    const { engines, names } = nodeOf({});
    const peers = [peerOf("a", "x", ["b"]), peerOf("b", "x", ["a", "c"]), peerOf("c", "x", ["a", "b"]), peerOf("d", "x")];
    await engines.compare(peers);
    expect(names(peers)).toEqual(["a", "d"]);
    peers[0]?.markMissing("refused");
    expect(names(peers)).toEqual(["b", "d"]);
  });

  test("the warning names all nodes of an engine once", () => {
    const records = [{ name: "b", same_engine: ["a"] }, { name: "c", same_engine: [] }, { name: "a", same_engine: ["d"] }, { name: "d" }];
    expect(sharedEngineWarnings(records)).toEqual([expect.stringMatching(/^The nodes a, b, d use one Docker engine/)]);
    expect(sharedEngineWarnings(records.slice(0, 2))).toEqual([]);
  });
});
