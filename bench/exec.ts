import type { Bed } from "./bed";
import { type Comparison, compareTimes } from "./compare";
import { withContainer } from "./container";
import { demultiplex } from "./http-client";

const ROUNDS = 24;
const COMMAND = ["echo", "hello"];

/** Executes a command in a running container and reads its output and exit code. */
export function benchExec(bed: Bed): Promise<Comparison[]> {
  return withContainer(bed, ["sleep", "600"], async (id) => [
    await compareTimes(
      "exec",
      ROUNDS,
      {
        ours: {
          async work() {
            const { stdout, exit_code } = await bed.ours.askJson("POST", `/${id}`, { data: COMMAND });
            expectHello(stdout, exit_code);
          },
        },
        raw: {
          async work() {
            const { Id } = await bed.raw.askJson("POST", `/containers/${id}/exec`, {
              Cmd: COMMAND,
              AttachStdout: true,
              AttachStderr: true,
            });
            const output = demultiplex(await bed.raw.ask("POST", `/exec/${Id}/start`, { Detach: false, Tty: false }));
            const { ExitCode } = await bed.raw.askJson("GET", `/exec/${Id}/json`);
            expectHello(output.stdout, ExitCode);
          },
        },
        cli: { work: async () => expectHello(await bed.cli(["exec", id, ...COMMAND]), 0) },
      },
      { against: "raw", ratio: 1.15 },
    ),
  ]);
}

function expectHello(stdout: unknown, exitCode: unknown): void {
  if (stdout !== "hello\n" || exitCode !== 0) throw new Error(`exec answered ${JSON.stringify({ stdout, exitCode })}`);
}
