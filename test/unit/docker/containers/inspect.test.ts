import { inspectContainer } from "../../../../lib/docker/containers/inspect";
import type { Engine } from "../../../../lib/docker/engine";

test("a network without IPv4, which only newer engines have, is shown with the IPv6 address", async () => {
  const info = {
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

test("the command of a container that Podman never started, whose Path is in Args too, is shown once", async () => {
  const info = {
    Path: "sh",
    Args: ["sh", "-c", "true"],
    State: { Running: false, Status: "created", StartedAt: "0001-01-01T00:00:00Z", FinishedAt: "0001-01-01T00:00:00Z" },
    Config: { Entrypoint: ["sh"], Cmd: ["-c", "true"] },
    HostConfig: {},
    Mounts: [],
    NetworkSettings: {},
  };
  const engine = { call: async () => info } as unknown as Engine;
  expect((await inspectContainer(engine, "id")).command).toEqual(["sh", "-c", "true"]);
});
