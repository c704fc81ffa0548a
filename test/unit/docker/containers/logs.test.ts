import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { ContainerLogs, type LogQuery } from "../../../../lib/docker/containers/logs";
import type { Engine } from "../../../../lib/docker/engine";

const ALL: LogQuery = { timestamps: false, follow: false };
const signal = new AbortController().signal;

function frame(kind: number, text: string): Buffer {
  const header = Buffer.alloc(8);
  header[0] = kind;
  header.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([header, Buffer.from(text)]);
}

/** The logs of an engine that answers these bytes for a log. */
function logsOf(log: Iterable<Buffer> | AsyncIterable<Buffer>): ContainerLogs {
  const engine = { call: async () => ({ Config: { Tty: false } }), stream: async () => Readable.from(log) };
  return new ContainerLogs(engine as unknown as Engine);
}

describe("a log that the engine can't read on", () => {
  const FAILURE = frame(3, "Error grabbing logs: bad file\n");
  const failed = { code: "ENGINE_ERROR", message: expect.stringContaining("Error grabbing logs: bad file") };

  test("is an error, not output, if nothing comes before", async () => {
    await expect(logsOf([FAILURE]).streamBytes("a", ALL, signal)).rejects.toMatchObject(failed);
    await expect(logsOf([FAILURE]).readTail("a", ALL, 1000, signal)).rejects.toMatchObject(failed);
  });

  test.each([false, true])("breaks off after what comes before (followed: %s)", async (follow) => {
    const bytes = await logsOf([frame(1, "first\n"), FAILURE]).streamBytes("a", { ...ALL, follow }, signal);
    const parts: Buffer[] = [];
    const read = async () => {
      for await (const part of bytes) parts.push(part);
    };
    await expect(read()).rejects.toMatchObject(failed);
    expect(Buffer.concat(parts).toString()).toBe("first\n");
  });
});

test("a log that always has more lets other work of this process run", async () => {
  let otherWorkHasRun = false;
  const timer = setTimeout(() => {
    otherWorkHasRun = true;
  });
  const chunk = Buffer.concat(Array.from({ length: 100 }, () => frame(1, "x")));
  async function* log() {
    for (let count = 0; count < 20_000 && !otherWorkHasRun; count += 1) yield chunk;
  }
  await buffer(await logsOf(log()).streamBytes("a", ALL, signal));
  clearTimeout(timer);
  expect(otherWorkHasRun).toBe(true);
});
