import { ContainerCache } from "../../../../lib/cluster/routing/container-cache";
import { clusterDispatch } from "../../../../lib/cluster/routing/dispatch";
import { ListLeases } from "../../../../lib/cluster/routing/list-leases";
import { Scheduler } from "../../../../lib/cluster/scheduling/scheduler";
import { Reply } from "../../../../lib/support/reply";
import { poolOf, requestOf } from "../../../support/unit/cluster-parts";

/** Leases of a list; `told` says who has been told, each of whom knows only when it `answers`. */
function leasesOf() {
  const told: string[] = [];
  const waiting: (() => void)[] = [];
  const leases = new ListLeases((node) => {
    told.push(node);
    return new Promise<void>((resolve) => waiting.push(resolve));
  });
  const answers = () => {
    for (const resolve of waiting.splice(0)) resolve();
  };
  return { leases, told, answers };
}

test("who holds the list is told of a change once, until it asks again", () => {
  const { leases, told } = leasesOf();
  leases.grant("n2");
  leases.notifyChanged();
  leases.notifyChanged();
  expect(told).toEqual(["n2"]);
  leases.grant("n2");
  leases.grant("n3");
  leases.notifyChanged();
  expect(told).toEqual(["n2", "n2", "n3"]);
});

test("nobody is told whose lease is over", async () => {
  const { leases, told } = leasesOf();
  const end = performance.now() + leases.grant("n2");
  while (performance.now() <= end) await new Promise((resolve) => setTimeout(resolve, 1));
  leases.notifyChanged();
  expect(told).toEqual([]);
});

test("a change is settled when all who hold the list know of it", async () => {
  const { leases, answers } = leasesOf();
  await leases.settled();
  leases.grant("n2");
  leases.notifyChanged();
  let settled = false;
  const settling = leases.settled().then(() => {
    settled = true;
  });
  await new Promise(setImmediate);
  expect(settled).toBe(false);
  answers();
  await settling;
});

test("who does not answer is waited for until its lease is over, and no longer", async () => {
  const { leases } = leasesOf();
  leases.grant("n2");
  leases.notifyChanged();
  await leases.settled();
});

test("a change is answered only when all who hold the list know of it", async () => {
  const { leases, answers } = leasesOf();
  const pool = poolOf({});
  const settings = { queueWaitMs: 0, queueLength: 0, runWaitMs: 1000 };
  const scheduler = new Scheduler({ pool, bidder: undefined as never, settings });
  const dispatch = clusterDispatch({ pool, containerCache: new ContainerCache(pool), leases, scheduler, forwardTimeoutMs: 1000 });
  leases.grant("n2");
  const told = { yet: false };
  const runHere = async () => {
    leases.notifyChanged();
    return new Reply(200, {});
  };
  const answer = dispatch(requestOf({ method: "DELETE", runHere })).then(() => told.yet);
  await new Promise(setImmediate);
  told.yet = true;
  answers();
  expect(await answer).toBe(true);
});
