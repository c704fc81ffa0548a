import { validateHeaderValue } from "node:http";
import { Readable } from "node:stream";
import { worstOutcome } from "../../../../lib/cluster/routing/merge";
import type { RoutedRequest } from "../../../../lib/cluster/routing/routed-request";
import type { PeerCall } from "../../../../lib/cluster/rpc/peer-client";
import { AppError } from "../../../../lib/errors";
import { Reply } from "../../../../lib/support/reply";
import { noAnswer, peerOf, poolOf, requestOf } from "../../../support/unit/cluster-parts";

const pull = (runHere: RoutedRequest["runHere"] = async () => new Reply(200, null)) =>
  requestOf({ method: "HEAD", url: "/busybox", runHere });
const pulled = () => Object.assign(Readable.from([]), { statusCode: 200, headers: { "x-image-id": "sha256:1" } });

test("the reply has the worst status and lists every node's status", async () => {
  const pool = poolOf({ peers: ["n1", "n2"].map(peerOf), ask: async () => ({}), send: async () => pulled() });
  const absent = new AppError("IMAGE_NOT_FOUND");
  const { status, headers } = await worstOutcome(
    pool,
    pull(() => Promise.reject(absent)),
    60_000,
  );
  expect(status).toBe(404);
  expect(headers).toMatchObject({ "X-Cluster-Outcomes": "n0=404, n1=200, n2=200", "X-Error-Code": "IMAGE_NOT_FOUND" });
});

test("an error message is made to fit into a header, and that of an unexpected error is hidden", async () => {
  const fail = (error: Error) =>
    worstOutcome(
      poolOf({}),
      pull(() => Promise.reject(error)),
      60_000,
    );
  const multiline = await fail(new AppError("ENGINE_ERROR", { message: `first\nsecond: ü ${"long ".repeat(1000)}` }));
  expect(multiline.headers["X-Error-Message"]).toMatch(/^first second: {3}long .{0,500}$/);
  const unexpected = await fail(new TypeError("secret"));
  expect(unexpected.status).toBe(500);
  expect(unexpected.headers).toMatchObject({ "X-Error-Code": "INTERNAL", "X-Error-Message": expect.not.stringContaining("secret") });
  for (const { headers } of [multiline, unexpected]) for (const [name, value] of Object.entries(headers)) validateHeaderValue(name, value);
});

test("a node that freezes during the request is missing after a missed ping, long before the request's timeout", async () => {
  jest.useFakeTimers();
  try {
    const [healthy, frozen] = [peerOf("n1"), peerOf("n2")];
    let isFrozen = false;
    const send = (peer: typeof healthy, { signal }: PeerCall) =>
      peer === healthy
        ? Promise.resolve(pulled())
        : new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(noAnswer(peer.name, true))));
    const ask = (peer: typeof healthy) => (isFrozen && peer === frozen ? Promise.reject(noAnswer(peer.name)) : Promise.resolve({}));
    const outcome = worstOutcome(poolOf({ peers: [healthy, frozen], send, ask, peerTimeout: 500 }), pull(), 600_000);
    await jest.advanceTimersByTimeAsync(30_000);
    isFrozen = true;
    await jest.advanceTimersByTimeAsync(2000);
    expect(frozen.missingReason).toBe("n2 refused");
    const { status, headers } = await outcome;
    expect(status).toBe(503);
    expect(headers).toMatchObject({ "X-Cluster-Outcomes": "n0=200, n1=200, n2=missing", "X-Cluster-Missing": "n2" });
    expect(jest.getTimerCount()).toBe(0);
  } finally {
    jest.useRealTimers();
  }
}, 5000);
