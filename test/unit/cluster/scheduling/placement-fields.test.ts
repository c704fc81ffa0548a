import type { Bid, Needs } from "../../../../lib/cluster/scheduling/bid";
import { withNameWarning, withVolumeWarning } from "../../../../lib/cluster/scheduling/placement-fields";
import { Reply } from "../../../../lib/support/reply";
import { poolOf } from "../../../support/unit/cluster-parts";

const bid = (node: string, more: Partial<Bid>) => ({ node, hasVolumes: false, ...more }) as Bid;
const needs = { volumes: ["data"] } as unknown as Needs;
const reply = () => new Reply(200, { id: "c" }, { "content-type": "application/json" });
const warningsOf = (answer: Reply) => (answer.body as { warnings?: string[] }).warnings;

test("a volume that is made anew is told of where a node that declined has it, or one that was stopped may have it", () => {
  const chosen = bid("n0", {});
  const bids = [chosen, bid("n1", { declines: "it takes no new work", hasVolumes: true })];
  expect(warningsOf(withVolumeWarning(reply(), chosen, bids, needs, poolOf({ left: ["n2"] })))).toEqual([
    "a volume of this name (data) is new and empty on n0: n1 has it, but it takes no new work; n2 left the pool within the hour",
  ]);
});

test("a volume that the chosen node has, or that nobody else can have, is not told of", () => {
  const holder = bid("n0", { hasVolumes: true });
  expect(warningsOf(withVolumeWarning(reply(), holder, [holder], needs, poolOf({ left: ["n2"] })))).toBeUndefined();
  const chosen = bid("n0", {});
  expect(warningsOf(withVolumeWarning(reply(), chosen, [chosen], needs, poolOf({})))).toBeUndefined();
});

test.each([
  ["a name that the client gave", { givenName: "web" }, undefined, "another container named web"],
  ["an Idempotency-Key", {}, "key", "a container of this Idempotency-Key"],
])("%s may be in use on a node that doesn't answer or was stopped", (_, plan, key, other) => {
  const silent = { name: "n1", missingReason: "timed out" } as never;
  const warned = withNameWarning(reply(), plan, key, poolOf({ peers: [silent], left: ["n2"] }));
  expect(warningsOf(warned)).toEqual([`there may be ${other}: n1 does not answer; n2 left the pool within the hour`]);
  expect(warningsOf(withNameWarning(reply(), plan, key, poolOf({})))).toBeUndefined();
});

test("a name that was made here is not warned of", () => {
  expect(warningsOf(withNameWarning(reply(), {}, undefined, poolOf({ left: ["n2"] })))).toBeUndefined();
});

test("an answer that came as bytes, as the Docker API's do, stays bytes, and its own field has the warning", () => {
  const created = new Reply(201, Buffer.from('{"Id":"c","Warnings":["first"]}\n'), {
    "content-type": "application/json",
    "content-length": "31",
  });
  const { body, headers } = withNameWarning(created, { givenName: "web" }, undefined, poolOf({ left: ["n2"] }));
  expect(Buffer.isBuffer(body)).toBe(true);
  expect(JSON.parse(String(body))).toEqual({
    Id: "c",
    Warnings: ["first", "there may be another container named web: n2 left the pool within the hour"],
  });
  expect(headers).not.toHaveProperty("content-length");
});
