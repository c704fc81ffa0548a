import { ContainerCache } from "../../../../lib/cluster/routing/container-cache";
import { clusterDispatch } from "../../../../lib/cluster/routing/dispatch";
import { ListLeases } from "../../../../lib/cluster/routing/list-leases";
import { Scheduler } from "../../../../lib/cluster/scheduling/scheduler";
import { Reply } from "../../../../lib/support/reply";
import { poolOf, requestOf } from "../../../support/unit/cluster-parts";

/** Leases, the nodes that were notified, and a function that confirms all notifications. */
function leasesOf() {
  const notified: string[] = [];
  const pending: (() => void)[] = [];
  const leases = new ListLeases((node) => {
    notified.push(node);
    return new Promise<void>((resolve) => pending.push(resolve));
  });
  const confirmAll = () => {
    for (const resolve of pending.splice(0)) resolve();
  };
  return { leases, notified, confirmAll };
}

test("a lease holder is notified once per lease", () => {
  const { leases, notified } = leasesOf();
  leases.grant("n2");
  leases.notifyChanged();
  leases.notifyChanged();
  expect(notified).toEqual(["n2"]);
  leases.grant("n2");
  leases.grant("n3");
  leases.notifyChanged();
  expect(notified).toEqual(["n2", "n2", "n3"]);
});

test("a node whose lease has expired is not notified", async () => {
  const { leases, notified } = leasesOf();
  const end = performance.now() + leases.grant("n2");
  while (performance.now() <= end) await new Promise((resolve) => setTimeout(resolve, 1));
  leases.notifyChanged();
  expect(notified).toEqual([]);
});

test("a change is settled when all lease holders have confirmed it", async () => {
  const { leases, confirmAll } = leasesOf();
  await leases.settled();
  leases.grant("n2");
  leases.notifyChanged();
  let settled = false;
  const settling = leases.settled().then(() => {
    settled = true;
  });
  await new Promise(setImmediate);
  expect(settled).toBe(false);
  confirmAll();
  await settling;
});

test("a holder that does not confirm delays a change only until its lease ends", async () => {
  const { leases } = leasesOf();
  leases.grant("n2");
  leases.notifyChanged();
  await leases.settled();
});

test("a request that changes the list is answered only after all lease holders have confirmed", async () => {
  const { leases, confirmAll } = leasesOf();
  const pool = poolOf({});
  const settings = { queueWaitMs: 0, queueLength: 0, runWaitMs: 1000 };
  const scheduler = new Scheduler({ pool, bidder: undefined as never, settings });
  const dispatch = clusterDispatch({ pool, containerCache: new ContainerCache(pool), leases, scheduler, forwardTimeoutMs: 1000 });
  leases.grant("n2");
  let confirmed = false;
  const runHere = async () => {
    leases.notifyChanged();
    return new Reply(200, {});
  };
  const answer = dispatch(requestOf({ method: "DELETE", runHere })).then(() => confirmed);
  await new Promise(setImmediate);
  confirmed = true;
  confirmAll();
  expect(await answer).toBe(true);
});
