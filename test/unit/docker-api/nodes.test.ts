import { Access } from "../../../lib/access/access";
import type { Holding } from "../../../lib/cluster/local-host";
import { Peer } from "../../../lib/cluster/membership/peer";
import type { Pool } from "../../../lib/cluster/pool";
import type { RawAnswer, RawEngine } from "../../../lib/docker/raw-engine";
import type { DockerCall } from "../../../lib/docker-api/call";
import { Nodes, type Question } from "../../../lib/docker-api/nodes";
import { accessOf } from "../../support/unit/access-parts";
import { foundOf, noAnswer, poolOf, recordOf } from "../../support/unit/cluster-parts";

const NOTHING: Holding = { exact: [], prefix: [] };
const web = foundOf();
const call = { access: Access.full, fromPeer: false, response: { locals: {} } } as unknown as DockerCall;

/**
 * The nodes n0 (this one), n1 and n2 with what they hold at the moment.
 * @returns also which of them were asked for a container, in order
 */
function nodesWith(holdings: Record<string, Holding>, answerHere: (question: Question) => RawAnswer = () => jsonAnswer(404, {})) {
  const asked: string[] = [];
  const answer = async (name: string) => {
    asked.push(name);
    return holdings[name] ?? Promise.reject(noAnswer(name));
  };
  const peers = ["n1", "n2"].map((name) => new Peer(recordOf(name, { enforces: ["nodes", "expires"] })));
  const pool = poolOf({
    peers,
    own: () => answer("n0"),
    ask: ({ name }) => answer(name),
  }) as Pool;
  return { asked, peers, hints: pool.hints, nodes: new Nodes({} as RawEngine, pool, "n0", async (question) => answerHere(question)) };
}

const jsonAnswer = (status: number, json: object): RawAnswer => ({ status, headers: {}, body: Buffer.from(JSON.stringify(json)) });

test("a container that was found is not found by a token that doesn't name its node", async () => {
  const { nodes, asked } = nodesWith({ n0: NOTHING, n1: { exact: [web], prefix: [] }, n2: NOTHING });
  await nodes.locate("container", web.name, call);
  asked.splice(0);
  const access = accessOf({ nodes: ["n0", "n2"] });
  await expect(nodes.locate("container", web.name, { ...call, access } as DockerCall)).rejects.toMatchObject({ status: 404 });
  expect(asked).not.toContain("n1");
});

test("an exec is found without a search on the node that has created it", async () => {
  const { nodes, asked } = nodesWith({ n0: NOTHING, n1: NOTHING, n2: NOTHING }, ({ method, body }) => {
    expect([method, body?.toString()]).toEqual(["POST", "{}"]);
    return jsonAnswer(201, { Id: "e1" });
  });
  await nodes.createExec({ node: "n0", id: "web" }, Buffer.from("{}"), call);
  expect(await nodes.locate("exec", "e1", call)).toEqual({ node: "n0", id: "e1" });
  expect(asked).toEqual([]);
});

test("a container that this node has seen created is found without a search, until its node doesn't answer", async () => {
  const id = "c".repeat(64);
  const { nodes, asked, peers } = nodesWith({ n0: NOTHING, n1: NOTHING, n2: { exact: [foundOf({ id })], prefix: [] } });
  nodes.remember(id, "n1");
  expect(await nodes.locate("container", id, call)).toEqual({ node: "n1", id });
  expect(asked).toEqual([]);
  peers[0]?.markMissing("refused");
  expect(await nodes.locate("container", id, call)).toEqual({ node: "n2", id });
});

test("a container whose name another node alone has is found without a search, unless the name could be first digits of an id", async () => {
  const { nodes, asked, hints } = nodesWith({ n0: NOTHING, n1: { exact: [web], prefix: [] }, n2: NOTHING });
  const hint = { node: "n1", isAlias: false, missing: [] };
  for (const name of [web.name, "cafe"]) hints.prepare(name, "")(hint, 60_000);
  hints.prepare("alias", "")({ ...hint, isAlias: true }, 60_000);
  expect(await nodes.locate("container", web.name, call)).toEqual({ node: "n1", id: web.name });
  expect(asked).toEqual([]);
  for (const name of ["cafe", "alias"]) {
    expect(await nodes.locate("container", name, call)).toEqual({ node: "n1", id: web.id });
    expect(asked.splice(0)).not.toEqual([]);
  }
});

test("where an object was is not known any more when its node has started again", async () => {
  const { nodes, asked, peers } = nodesWith({ n0: NOTHING, n1: NOTHING, n2: { exact: [web], prefix: [] } });
  nodes.remember(web.id, "n1");
  peers[0]?.updateRecord(recordOf("n1", { process: "another", enforces: ["nodes", "expires"] }));
  expect(await nodes.locate("container", web.id, call)).toEqual({ node: "n2", id: web.id });
  expect(asked).not.toEqual([]);
});
