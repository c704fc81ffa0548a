import { idempotencyKeyOf } from "../../../../lib/cluster/routing/routed-request";
import { singleNodeDispatch } from "../../../../lib/cluster/routing/single-node";
import { bestNode, everyNode, here, owners, type Where } from "../../../../lib/cluster/routing/where";
import { hashKey, KEY_LABEL } from "../../../../lib/cluster/scheduling/idempotency";
import { AppError } from "../../../../lib/errors";
import { Reply } from "../../../../lib/support/reply";
import { foundOf, NEEDS, poolOf, requestOf } from "../../../support/unit/cluster-parts";

const { host } = poolOf({});
const dispatch = singleNodeDispatch("n0", host);
const run = bestNode((body, key) => ({ name: "web", body: { ...body, planned: key ?? "without a key" }, needs: NEEDS }));

test.each<[string, Where]>([
  ["here", here],
  ["on the owner", { at: "owner" }],
  ["on all owners", owners({ prefix: true })],
  ["on every node", everyNode("list")],
])("alone, what runs %s runs here, body unread", async (_where, where) => {
  const answer = new Reply(200, "done");
  const readBody = jest.fn();
  const runHere = jest.fn(async () => answer);
  expect(await dispatch(requestOf({ where, readBody, runHere }))).toBe(answer);
  expect(runHere).toHaveBeenCalledWith();
  expect(readBody).not.toHaveBeenCalled();
});

test("alone, what runs on the best node runs here, as it was planned", async () => {
  const runHere = jest.fn(async () => new Reply(200, null));
  await dispatch(requestOf({ where: run, readBody: async () => ({ image: "busybox" }), runHere }));
  expect(runHere).toHaveBeenCalledWith({ image: "busybox", planned: "without a key" });
  await dispatch(requestOf({ where: run, headers: { "idempotency-key": "k" }, runHere }));
  expect(runHere).toHaveBeenLastCalledWith({ planned: "k" });
});

test("alone, a request may be pinned to this node and to no other", async () => {
  for (const where of [here, run, everyNode("outcomes")]) {
    expect((await dispatch(requestOf({ where, pinnedNode: "n0" }))).status).toBe(200);
    await expect(dispatch(requestOf({ where, pinnedNode: "n1" }))).rejects.toMatchObject({
      code: "NODE_NOT_FOUND",
      details: { nodes: ["n0"] },
    });
  }
});

test("alone, a run repeated with its key answers what is there already", async () => {
  const found = foundOf({ labels: { [KEY_LABEL]: hashKey("k") } });
  const repeating = singleNodeDispatch("n0", poolOf({ own: async () => ({ exact: [found], prefix: [] }) }).host);
  const runHere = () => Promise.reject(new AppError("NAME_TAKEN"));
  const answer = await repeating(requestOf({ where: run, headers: { "idempotency-key": "k" }, runHere }));
  expect(answer).toMatchObject({ status: 200, body: { id: found.id, host: "n0", repeated: true } });
  await expect(repeating(requestOf({ where: run, runHere }))).rejects.toMatchObject({ code: "NAME_TAKEN" });
});

test("a container whose id begins with the name is not what the key has made", async () => {
  const found = foundOf({ labels: { [KEY_LABEL]: hashKey("k") } });
  const prefixed = singleNodeDispatch("n0", poolOf({ own: async () => ({ exact: [foundOf()], prefix: [found] }) }).host);
  const runHere = () => Promise.reject(new AppError("NAME_TAKEN"));
  await expect(prefixed(requestOf({ where: run, headers: { "idempotency-key": "k" }, runHere }))).rejects.toMatchObject({
    code: "NAME_TAKEN",
  });
});

test("a request's key is its Idempotency-Key, if it has one", () => {
  expect(idempotencyKeyOf(requestOf({ headers: { "idempotency-key": "k" } }))).toBe("k");
  expect(idempotencyKeyOf(requestOf())).toBeUndefined();
  expect(idempotencyKeyOf(requestOf({ headers: { "idempotency-key": ["a", "b"] as unknown as string } }))).toBeUndefined();
});

test("an empty Idempotency-Key is none: requests that send one are not all the same", () => {
  expect(idempotencyKeyOf(requestOf({ headers: { "idempotency-key": "" } }))).toBeUndefined();
});

test("a route says where it runs", () => {
  expect([here, owners({ prefix: false }), everyNode("outcomes")]).toEqual([
    { at: "here" },
    { at: "owners", prefix: false },
    { at: "everyNode", merge: "outcomes" },
  ]);
  expect(run.at === "bestNode" && run.plan({ image: "i" }, "k")).toEqual({
    name: "web",
    body: { image: "i", planned: "k" },
    needs: NEEDS,
  });
});
