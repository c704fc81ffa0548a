import { AppError } from "../../../../lib/errors";
import { toSettingsError } from "../../../../lib/runs/code/sandbox";
import { type SandboxSettings, sandboxOptions } from "../../../../lib/runs/code/sandbox-options";

const SETTINGS = { run_cpus: 1, run_tmpfs: 4096, run_cap_drop: [], run_runtime: null, run_user: null } as unknown as SandboxSettings;
const options = (run_cpus: number) => sandboxOptions({ id: "sha256:1", volumes: [] }, { ...SETTINGS, run_cpus }).HostConfig;

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
