import { idempotencyKeyOf } from "../../../../lib/cluster/routing/routed-request";
import { singleNodeDispatch } from "../../../../lib/cluster/routing/single-node";
import { bestNode, everyNode, here, owners, type Where } from "../../../../lib/cluster/routing/where";
import { hashKey, KEY_LABEL } from "../../../../lib/cluster/scheduling/idempotency";
import { AppError } from "../../../../lib/errors";
import { Reply } from "../../../../lib/support/reply";
import { foundOf, NEEDS, poolOf, requestOf } from "../../../support/unit/cluster-parts";

const { host } = poolOf({});
const dispatch = singleNodeDispatch("n0", host, true);
const run = bestNode((body, key) => ({ name: "web", body: { ...body, planned: key ?? "without a key" }, needs: NEEDS }));

test.each<[string, Where]>([
  ["here", here],
  ["on the owner", { at: "owner" }],
  ["on all owners", owners({ prefix: true })],
  ["on every node", everyNode("list")],
])("without a cluster, a route that runs %s runs here with its body unread", async (_where, where) => {
  const reply = new Reply(200, "done");
  const readBody = jest.fn();
  const runHere = jest.fn(async () => reply);
  expect(await dispatch(requestOf({ where, readBody, runHere }))).toBe(reply);
  expect(runHere).toHaveBeenCalledWith();
  expect(readBody).not.toHaveBeenCalled();
});

test("without a cluster, a route that runs on the best node runs here with the planned body", async () => {
  const runHere = jest.fn(async () => new Reply(200, null));
  await dispatch(requestOf({ where: run, readBody: async () => ({ image: "busybox" }), runHere }));
  expect(runHere).toHaveBeenCalledWith({ image: "busybox", planned: "without a key" });
  await dispatch(requestOf({ where: run, headers: { "idempotency-key": "k" }, runHere }));
  expect(runHere).toHaveBeenLastCalledWith({ planned: "k" });
});

test("without a cluster, a request can be pinned only to this node", async () => {
  for (const where of [here, run, everyNode("outcomes")]) {
    expect((await dispatch(requestOf({ where, pinnedNode: "n0" }))).status).toBe(200);
    await expect(dispatch(requestOf({ where, pinnedNode: "n1" }))).rejects.toMatchObject({
      code: "NODE_NOT_FOUND",
      details: { nodes: ["n0"] },
    });
  }
});

test("without a cluster, a run repeated with its key gets the existing container", async () => {
  const found = foundOf({ labels: { [KEY_LABEL]: hashKey("k") } });
  const repeating = singleNodeDispatch("n0", poolOf({ own: async () => ({ exact: [found], prefix: [] }) }).host, true);
  const runHere = () => Promise.reject(new AppError("NAME_TAKEN"));
  const answer = await repeating(requestOf({ where: run, headers: { "idempotency-key": "k" }, runHere }));
  expect(answer).toMatchObject({ status: 200, body: { id: found.id, host: "n0", repeated: true } });
  await expect(repeating(requestOf({ where: run, runHere }))).rejects.toMatchObject({ code: "NAME_TAKEN" });
});

test("a container whose id only begins with the name is not the one created with the key", async () => {
  const found = foundOf({ labels: { [KEY_LABEL]: hashKey("k") } });
  const prefixed = singleNodeDispatch("n0", poolOf({ own: async () => ({ exact: [foundOf()], prefix: [found] }) }).host, true);
  const runHere = () => Promise.reject(new AppError("NAME_TAKEN"));
  await expect(prefixed(requestOf({ where: run, headers: { "idempotency-key": "k" }, runHere }))).rejects.toMatchObject({
    code: "NAME_TAKEN",
  });
});

test("a request's key is its Idempotency-Key header if there is one", () => {
  expect(idempotencyKeyOf(requestOf({ headers: { "idempotency-key": "k" } }))).toBe("k");
  expect(idempotencyKeyOf(requestOf())).toBeUndefined();
  expect(idempotencyKeyOf(requestOf({ headers: { "idempotency-key": ["a", "b"] as unknown as string } }))).toBeUndefined();
});

test("an empty Idempotency-Key counts as none", () => {
  expect(idempotencyKeyOf(requestOf({ headers: { "idempotency-key": "" } }))).toBeUndefined();
});

test("here, bestNode, owners and everyNode describe where a route runs", () => {
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

test("without a cluster, a node that takes no new work refuses runs and serves everything else", async () => {
  const closed = singleNodeDispatch("n0", host, false);
  await expect(closed(requestOf({ where: run }))).rejects.toMatchObject({ code: "NOT_ACCEPTING", status: 503 });
  for (const where of [here, owners({ prefix: true }), everyNode("list")]) expect((await closed(requestOf({ where }))).status).toBe(200);
});
