import { PassThrough, Writable } from "node:stream";
import { drainBody } from "../../../lib/support/drain-body";
import { until } from "../../../scripts/process";

test("the rest of a body that was piped before is drained, so that its sender can finish", async () => {
  const body = new PassThrough({ highWaterMark: 1000 });
  const wanted = new Writable({ write: () => undefined });
  body.pipe(wanted);
  for (let part = 0; part < 100; part += 1) body.write(Buffer.alloc(1000));
  body.end();
  const sent = new Promise<void>((resolve) => body.once("end", resolve));
  // The other end has taken what it takes, and no more.
  await new Promise((resolve) => setTimeout(resolve, 20));
  body.unpipe(wanted);
  drainBody(body);
  await sent;
});

test("an endless body is cut off", async () => {
  const body = new PassThrough();
  drainBody(body);
  const part = Buffer.alloc(1_000_000);
  const more = () => {
    while (!body.destroyed && body.write(part));
  };
  body.on("drain", more);
  more();
  expect(await until(() => body.destroyed, 10_000)).toBe(true);
});
