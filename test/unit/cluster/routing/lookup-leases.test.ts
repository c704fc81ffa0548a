import { LOOKUP_LEASE_MS, LookupLeases } from "../../../../lib/cluster/routing/lookup-leases";

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

function leasesOf() {
  const notified: string[] = [];
  return { notified, leases: new LookupLeases((node, name) => notified.push(`${node} ${name}`)) };
}

test("the nodes that have looked up a name are notified once when a container gets it, and others are not", () => {
  const { leases, notified } = leasesOf();
  leases.grant("n2", "web");
  leases.grant("n2", "web");
  leases.grant("n3", "web");
  leases.grant("n4", "db");
  leases.notifyNamed("web");
  leases.notifyNamed("web");
  expect(notified).toEqual(["n2 web", "n3 web"]);
});

test("all nodes with a lease are notified once when names are not followed any more", () => {
  const { leases, notified } = leasesOf();
  leases.grant("n2", "web");
  leases.grant("n2", "db");
  leases.grant("n3", "db");
  leases.notifyNamed(undefined);
  leases.notifyNamed("db");
  expect(notified).toEqual(["n2 undefined", "n3 undefined"]);
});

test("a lease lasts for its whole time, and is forgotten after at most three", () => {
  const { leases, notified } = leasesOf();
  jest.advanceTimersByTime(LOOKUP_LEASE_MS - 1);
  leases.grant("n2", "web");
  leases.grant("n2", "db");
  jest.advanceTimersByTime(LOOKUP_LEASE_MS - 1);
  leases.grant("n2", "other");
  leases.notifyNamed("web");
  expect(notified).toEqual(["n2 web"]);
  jest.advanceTimersByTime(2 * LOOKUP_LEASE_MS);
  leases.grant("n2", "other");
  leases.notifyNamed("db");
  expect(notified).toEqual(["n2 web"]);
});

test("names that no container can have, and more names than fit in memory, get no lease until there is room", () => {
  const { leases } = leasesOf();
  expect(leases.grant("n2", "x".repeat(301))).toBeUndefined();
  let granted = 0;
  while (leases.grant("n2", `name-${granted}`) !== undefined) granted += 1;
  expect(granted).toBe(20_000);
  expect(leases.grant("n2", "web")).toBeUndefined();
  jest.advanceTimersByTime(LOOKUP_LEASE_MS);
  expect(leases.grant("n2", "web")).toBe(LOOKUP_LEASE_MS);
});
