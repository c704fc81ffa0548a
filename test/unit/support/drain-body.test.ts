import { PassThrough, Writable } from "node:stream";
import { drainBody } from "../../../lib/support/drain-body";
import { until } from "../../../scripts/process";

describe("drainBody", () => {
  test("the rest of a body that was piped before is drained, so that its sender can finish", async () => {
    const body = new PassThrough({ highWaterMark: 1000 });
    const stalled = new Writable({ write: () => undefined });
    body.pipe(stalled);
    for (let count = 0; count < 100; count += 1) body.write(Buffer.alloc(1000));
    body.end();
    const ended = new Promise<void>((resolve) => body.once("end", resolve));
    // Until the stalled writer has filled its buffer.
    await new Promise((resolve) => setTimeout(resolve, 20));
    body.unpipe(stalled);
    drainBody(body);
    await ended;
  });

  test("an endless body is cut off", async () => {
    const body = new PassThrough();
    drainBody(body);
    const chunk = Buffer.alloc(1_000_000);
    const fill = () => {
      while (!body.destroyed && body.write(chunk));
    };
    body.on("drain", fill);
    fill();
    expect(await until(() => body.destroyed, 10_000)).toBe(true);
  });
});
