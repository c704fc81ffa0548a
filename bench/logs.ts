import type { Bed } from "./bed";
import { type Comparison, compareTimes } from "./compare";
import { withContainer } from "./container";
import { demultiplex } from "./http-client";

const ROUNDS = 24;
const LINES = 10_000;
const PRINT = ["sh", "-c", `i=0; while [ $i -lt ${LINES} ]; do i=$((i+1)); echo "line $i of a log that somebody wants to read"; done`];

/** All lines a container has printed, as one text. */
export function benchLogs(bed: Bed): Promise<Comparison[]> {
  return withContainer(bed, PRINT, async (id) => {
    await bed.raw.ask("POST", `/containers/${id}/wait`);
    return [
      await compareTimes(
        "logs, 10,000 lines",
        ROUNDS,
        {
          ours: { work: async () => expectLines((await bed.ours.askJson("GET", `/${id}`)).stdout as string) },
          raw: {
            async work() {
              // Whether what comes is to be taken apart depends on the container.
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

function expectLines(text: string): void {
  const lines = text.split("\n").length - 1;
  if (lines !== LINES) throw new Error(`a log of ${LINES} lines came with ${lines}`);
}
