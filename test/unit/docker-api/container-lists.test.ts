import { setTimeout as sleep } from "node:timers/promises";
import { ContainerLists } from "../../../lib/docker-api/container-lists";

/** Lists of an engine. During its second answer something changes. */
function startListing(answer = (sent: string[]) => [`answer ${sent.length}`] as unknown[]) {
  const sent: string[] = [];
  const containers: { changes: number | undefined } = { changes: 1 };
  const lists = new ContainerLists(containers, async (query) => {
    if (sent.push(query.toString()) === 2) containers.changes = 3;
    return { status: 200, headers: {}, body: Buffer.from(JSON.stringify(answer(sent))) };
  });
  const list = async (query = "all=1") => JSON.parse((await lists.read(new URLSearchParams(query), 43)).body.toString());
  return { list, sent, containers };
}

test("a list answers equal requests for a moment while nothing changes", async () => {
  const { list, sent } = startListing();
  expect([await list(), await list(), await list("all=0")]).toEqual([["answer 1"], ["answer 1"], ["answer 2"]]);
  await sleep(50);
  expect(await list()).toEqual(["answer 3"]);
  expect(sent).toEqual(["all=1", "all=0", "all=1"]);
});

test("a list is read again after a change, also one that came while it was read", async () => {
  const { list, containers } = startListing();
  await list();
  containers.changes = 2;
  expect([await list(), await list(), await list()]).toEqual([["answer 2"], ["answer 3"], ["answer 3"]]);
});

test("a list is read each time while the engine's events aren't followed, and with sizes, which change without one", async () => {
  const { list, containers } = startListing();
  expect([await list("size=1"), await list("size=1")]).toEqual([["answer 1"], ["answer 2"]]);
  containers.changes = undefined;
  expect([await list(), await list()]).toEqual([["answer 3"], ["answer 4"]]);
});

test("the latest containers are of those that clients have made", async () => {
  const warm = { Names: ["/docker-server-job-1"] };
  const all = [warm, { Names: ["/web"] }, warm, { Names: ["/db", "/web/db"] }, { Names: ["/old"] }];
  const { list, sent } = startListing((requests) => (requests.at(-1)?.includes("limit=2") ? all.slice(0, 2) : all));
  expect(await list("limit=2&filters=x")).toEqual([all[1], all[3]]);
  expect(sent).toEqual(["limit=2&filters=x", "filters=x&all=1"]);
  expect(await list("limit=0")).toEqual(all);
});

test("the latest containers are the engine's own list where no run has one", async () => {
  const { list, sent } = startListing(() => [{ Names: ["/web"] }]);
  expect(await list("limit=1")).toEqual([{ Names: ["/web"] }]);
  expect(sent).toEqual(["limit=1"]);
});
