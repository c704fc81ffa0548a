import { findUpstream } from "../../../../lib/docker/containers/published-port";
import type { Engine } from "../../../../lib/docker/engine";

/** The upstream of port 80 of a container whose port is bound to these addresses of the engine's machine, or the error's code. */
async function upstreamOf(machine: string | undefined, ...addresses: string[]): Promise<string> {
  const info = {
    State: { Running: true },
    Config: {},
    HostConfig: {},
    NetworkSettings: {
      // A gateway with an address of this machine: this process is not isolated in a container.
      Networks: { bridge: { Gateway: "127.0.0.1" } },
      Ports: { "80/tcp": addresses.map((HostIp, index) => ({ HostIp, HostPort: String(8080 + index) })) },
    },
  };
  const engine = { machine, call: async () => info } as unknown as Engine;
  return findUpstream(engine, "id").then(
    ({ host, port }) => `${host} ${port}`,
    ({ code }) => code,
  );
}

test.each([
  ["127.0.0.2", "127.0.0.2 8080"],
  ["::1", "::1 8080"],
  ["0.0.0.0", "127.0.0.1 8080"],
  ["::", "::1 8080"],
  ["", "127.0.0.1 8080"],
  ["10.1.2.3", "10.1.2.3 8080"],
])("on this machine, a port that is bound to %j is reached at %s", async (address, reached) => {
  for (const machine of [undefined, "localhost", "127.0.0.1"]) expect(await upstreamOf(machine, address)).toBe(reached);
});

test("of several bindings, one of IPv4 is reached", async () => {
  expect(await upstreamOf(undefined, "::", "0.0.0.0")).toBe("127.0.0.1 8081");
});

test.each([
  ["0.0.0.0", "192.0.2.7 8080"],
  ["10.1.2.3", "10.1.2.3 8080"],
  ["127.0.0.1", "UPSTREAM_UNREACHABLE"],
  ["::1", "UPSTREAM_UNREACHABLE"],
  ["::", "UPSTREAM_UNREACHABLE"],
])("on another machine of the address 192.0.2.7, a port that is bound to %j is reached at %s", async (address, reached) => {
  expect(await upstreamOf("192.0.2.7", address)).toBe(reached);
});

test("on another machine with an IPv6 address, a port that is bound to all IPv6 addresses is reached there", async () => {
  expect(await upstreamOf("2001:db8::7", "0.0.0.0", "::")).toBe("2001:db8::7 8081");
});
