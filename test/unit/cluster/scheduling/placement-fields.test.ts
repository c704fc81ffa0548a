import type { Bid, Needs } from "../../../../lib/cluster/scheduling/bid";
import { withVolumeWarning } from "../../../../lib/cluster/scheduling/placement-fields";
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
