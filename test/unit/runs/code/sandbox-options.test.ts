import { AppError } from "../../../../lib/errors";
import { toSettingsError } from "../../../../lib/runs/code/sandbox";
import { type SandboxSettings, sandboxHeader, sandboxOptions } from "../../../../lib/runs/code/sandbox-options";

const SETTINGS = { run_cpus: 1, run_tmpfs: 4096, run_cap_drop: [], run_runtime: null, run_user: null } as unknown as SandboxSettings;
const options = (run_cpus: number) => sandboxOptions({ id: "sha256:1", volumes: [] }, { ...SETTINGS, run_cpus }).HostConfig;

test("a client is told whether a sandbox was warm, and of each limit that there is", () => {
  const limits = { run_max_time: 30, run_max_output: 1000, run_memory: 6_291_456, run_cpus: 0.5, run_pids: 64, run_network_disabled: true };
  expect(sandboxHeader(true, limits)).toBe("warm;time=30;output=1000;memory=6291456;cpus=0.5;pids=64;network=?0");
  expect(sandboxHeader(false, { ...limits, run_cpus: 0, run_network_disabled: false })).toBe(
    "cold;time=30;output=1000;memory=6291456;pids=64;network=?1",
  );
});

describe("code runs on hosts without CPU quotas", () => {
  test("run_cpus=0 sets no limit", () => {
    expect(options(0.5)).toMatchObject({ NanoCpus: 500_000_000 });
    expect(options(0)).not.toHaveProperty("NanoCpus");
  });

  test("the engine's refusal of the limit is a fault of the server that names the setting", () => {
    const message = "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted";
    expect(toSettingsError(new AppError("INVALID_SPEC", { message }), null)).toMatchObject({
      code: "ENGINE_ERROR",
      message: expect.stringContaining("--run_cpus 0"),
    });
  });
});
