import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 500;
/** A changed file is read again after this time: an editor may be writing it. */
const SETTLE_MS = 100;

/**
 * Follows the changes of a small text file until the process ends. It compares contents: a modification time misses changes within one tick
 * of the file system's clock, and those right after the first read.
 * @param initialContent as it was read at first
 * @param onChange called with each new content, or with the error once the file can't be read
 */
export async function followFile(file: string, initialContent: string, onChange: (content: string | Error) => void): Promise<never> {
  const read = () => readFile(file, "utf8").catch((error: Error) => error);
  let previous = initialContent;
  for (;;) {
    await sleep(POLL_MS, undefined, { ref: false });
    let current = await read();
    if (String(current) === previous) continue;
    for (let before: string | undefined; before !== String(current); current = await read()) {
      before = String(current);
      await sleep(SETTLE_MS, undefined, { ref: false });
    }
    previous = String(current);
    onChange(current);
  }
}
