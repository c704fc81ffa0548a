import { reachableAddress } from "../../../lib/support/default-route";
import { fromUrlHost, toUrlHost } from "../../../lib/support/url-host";

describe("toUrlHost", () => {
  test.each([
    ["::1", "[::1]"],
    ["fe80::1%eth0", "[fe80::1]"],
    ["10.0.0.1", "10.0.0.1"],
    ["web.example", "web.example"],
  ])("%s is written as %s", (host, written) => {
    expect(toUrlHost(host)).toBe(written);
    expect(new URL(`http://${toUrlHost(host)}:1717`).host).toBe(`${written}:1717`);
  });
});

test("the host of a URL is read back as an address", () => {
  expect(["http://[::1]:1/", "http://10.0.0.1/", "http://web.example/"].map((url) => fromUrlHost(new URL(url).hostname))).toEqual([
    "::1",
    "10.0.0.1",
    "web.example",
  ]);
});

test("an address that means all addresses is replaced by one that other machines reach", () => {
  const address = reachableAddress(null);
  for (const all of ["0.0.0.0", "::", "::0", "0:0:0:0:0:0:0:0"]) expect(reachableAddress(all)).toBe(address);
  for (const bound of ["127.0.0.1", "::1", "10.1.2.3"]) expect(reachableAddress(bound)).toBe(bound);
});
