import { Readable } from "node:stream";
import fc from "fast-check";
import { mergeBodies } from "../../../../lib/cluster/routing/merge";
import { AppError } from "../../../../lib/errors";
import { Reply } from "../../../../lib/support/reply";
import { noAnswer, peerOf, poolOf, requestOf } from "../../../support/unit/cluster-parts";

const joined = (bodies: object[]) => ({ items: bodies.map((body) => (body as { item: string }).item) });
type How = "answers" | "refuses" | "breaks off" | "is away";

function answerOf(name: string, how: How) {
  const body = JSON.stringify(how === "refuses" ? { code: "ENGINE_ERROR", message: "the engine failed" } : { item: name });
  const sent = Readable.from([Buffer.from(how === "breaks off" ? body.slice(0, 5) : body)]);
  return Object.assign(sent, { statusCode: how === "refuses" ? 500 : 200, headers: {} });
}

test("whoever answers is merged, this node first; whoever refuses, breaks off or can't be asked is named; nobody at all is an error", async () => {
  const how = fc.constantFrom<How>("answers", "refuses", "breaks off", "is away");
  await fc.assert(
    fc.asyncProperty(how, fc.array(how, { maxLength: 4 }), async (here, others) => {
      const names = others.map((_, index) => `n${index + 1}`);
      const howOf = (name: string) => others[names.indexOf(name)] as How;
      const send = async ({ name }: { name: string }) =>
        howOf(name) === "is away" ? Promise.reject(noAnswer(name)) : answerOf(name, howOf(name));
      const runHere = async () => {
        if (here === "answers") return new Reply(200, { item: "n0" });
        throw here === "refuses" ? new AppError("ENGINE_ERROR") : new TypeError("nobody foresaw it");
      };
      const answer = mergeBodies(poolOf({ peers: names.map(peerOf), ask: async () => ({}), send }), requestOf({ runHere }), joined, 1000);
      const all = ["n0", ...names];
      const items = all.filter((name) => (name === "n0" ? here : howOf(name)) === "answers");
      if (items.length === 0) return expect(answer).rejects.toBeInstanceOf(Error);
      const missing = all.filter((name) => !items.includes(name));
      const { body, headers } = await answer;
      const said = body as { items: string[]; complete: boolean; missing: string[] };
      expect({ ...said, items: [...said.items].sort(), missing: [...said.missing].sort() }).toEqual({
        items,
        complete: missing.length === 0,
        missing,
      });
      if (here === "answers") expect(said.items[0]).toBe("n0");
      expect(headers["X-Cluster-Missing"]?.split(", ").sort() ?? []).toEqual(missing);
    }),
  );
});
