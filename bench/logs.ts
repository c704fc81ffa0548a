import type { Bed } from "./bed";
import { type Comparison, compareTimes } from "./compare";
import { withContainer } from "./container";
import { demultiplex } from "./http-client";

const ROUNDS = 24;
const LINES = 10_000;
/** Prints that many lines and ends. */
export const PRINT_COMMAND = [
  "sh",
  "-c",
  `i=0; while [ $i -lt ${LINES} ]; do i=$((i+1)); echo "line $i of a log with some text in it"; done`,
];

/** Reads the whole log of a container. */
export function benchLogs(bed: Bed): Promise<Comparison[]> {
  return withContainer(bed, PRINT_COMMAND, async (id) => {
    await bed.raw.ask("POST", `/containers/${id}/wait`);
    return [
      await compareTimes(
        "logs, 10,000 lines",
        ROUNDS,
        {
          ours: { work: async () => expectLines((await bed.ours.askJson("GET", `/${id}`)).stdout as string) },
          raw: {
            async work() {
              // Only containers without a terminal have a multiplexed log.
              const { Config } = await bed.raw.askJson("GET", `/containers/${id}/json`);
              const bytes = await bed.raw.ask("GET", `/containers/${id}/logs?stdout=1&stderr=1`);
              expectLines((Config as { Tty: boolean }).Tty ? bytes.toString() : demultiplex(bytes).stdout);
            },
          },
          cli: { work: async () => expectLines(await bed.cli(["logs", id])) },
        },
        { against: "raw", ratio: 1.15 },
      ),
    ];
  });
}

/** @throws Error unless the text has all lines of `PRINT_COMMAND` */
export function expectLines(text: string): void {
  const lines = text.split("\n").length - 1;
  if (lines !== LINES) throw new Error(`expected ${LINES} log lines, got ${lines}`);
}
