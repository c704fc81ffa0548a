import { Readable } from "node:stream";
import fc from "fast-check";
import { mergeBodies, mergeOwners } from "../../../../lib/cluster/routing/merge";
import { AppError } from "../../../../lib/errors";
import { Reply } from "../../../../lib/support/reply";
import { noAnswer, peerOf, poolOf, requestOf } from "../../../support/unit/cluster-parts";

const joined = (bodies: object[]) => ({ items: bodies.map((body) => (body as { item: string }).item) });
type Behaviour = "answers" | "refuses" | "breaks off" | "is unreachable";

function responseOf(name: string, behaviour: Behaviour) {
  const body = JSON.stringify(behaviour === "refuses" ? { code: "ENGINE_ERROR", message: "the engine failed" } : { item: name });
  const response = Readable.from([Buffer.from(behaviour === "breaks off" ? body.slice(0, 5) : body)]);
  return Object.assign(response, { statusCode: behaviour === "refuses" ? 500 : 200, headers: {} });
}

test("bodies of the nodes that answer are merged, this node's first; all others are missing; without any answer it fails", async () => {
  const behaviour = fc.constantFrom<Behaviour>("answers", "refuses", "breaks off", "is unreachable");
  await fc.assert(
    fc.asyncProperty(behaviour, fc.array(behaviour, { maxLength: 4 }), async (here, others) => {
      const names = others.map((_, index) => `n${index + 1}`);
      const behaviourOf = (name: string) => others[names.indexOf(name)] as Behaviour;
      const send = async ({ name }: { name: string }) =>
        behaviourOf(name) === "is unreachable" ? Promise.reject(noAnswer(name)) : responseOf(name, behaviourOf(name));
      const runHere = async () => {
        if (here === "answers") return new Reply(200, { item: "n0" });
        throw here === "refuses" ? new AppError("ENGINE_ERROR") : new TypeError("unexpected");
      };
      const answer = mergeBodies(poolOf({ peers: names.map(peerOf), ask: async () => ({}), send }), requestOf({ runHere }), joined, 1000);
      const all = ["n0", ...names];
      const items = all.filter((name) => (name === "n0" ? here : behaviourOf(name)) === "answers");
      if (items.length === 0) return expect(answer).rejects.toBeInstanceOf(Error);
      const missing = all.filter((name) => !items.includes(name));
      const { body, headers } = await answer;
      const merged = body as { items: string[]; complete: boolean; missing: string[] };
      expect({ ...merged, items: [...merged.items].sort(), missing: [...merged.missing].sort() }).toEqual({
        items,
        complete: missing.length === 0,
        missing,
      });
      if (here === "answers") expect(merged.items[0]).toBe("n0");
      expect(headers["X-Cluster-Missing"]?.split(", ").sort() ?? []).toEqual(missing);
    }),
  );
});

test("an owner's answer that breaks off is an error that names the node", async () => {
  const broken = () =>
    new Reply(
      200,
      Readable.from(
        (function* () {
          yield Buffer.from('{"a":');
          throw new Error("socket hang up");
        })(),
      ),
      { "content-type": "application/json" },
    );
  for (const nodes of [["n1"], ["n1", "n1"]])
    await expect(mergeOwners(nodes, [], async () => broken())).rejects.toMatchObject({ code: "NODE_FAILED", details: { node: "n1" } });
});
