import { inspectContainer } from "../../../../lib/docker/containers/inspect";
import type { Engine } from "../../../../lib/docker/engine";

test("a network without IPv4, which only newer engines have, is shown with the IPv6 address", async () => {
  const info = {
    Path: "sh",
    Args: [],
    State: { Running: true, Status: "running", StartedAt: "2026-01-01T00:00:00Z", FinishedAt: "0001-01-01T00:00:00Z" },
    Config: {},
    HostConfig: {},
    Mounts: [],
    NetworkSettings: {
      Networks: {
        both: { IPAddress: "172.18.0.2", GlobalIPv6Address: "fd00::2" },
        only6: { IPAddress: "", GlobalIPv6Address: "fd01::2" },
        none: { IPAddress: "", GlobalIPv6Address: "" },
      },
    },
  };
  const engine = { call: async () => info } as unknown as Engine;
  expect((await inspectContainer(engine, "id")).networks).toEqual({ both: "172.18.0.2", only6: "fd01::2", none: "" });
});
