import { Engine } from "../../../lib/docker/engine";
import { logEngine } from "../../../lib/docker/engine-report";
import { quietLog } from "../../support/unit/quiet-log";

test.each([
  ["a socket that is not there", "/nonexistent/docker.sock", "ENOENT", /start Docker/],
  ["a file that is no socket", "/dev/null", "ENOTSOCK|ECONNREFUSED", /docker/],
])("the log tells of %s what is wrong and what to do", async (_what, socketPath, code, remedy) => {
  const { log, entries } = quietLog();
  await logEngine(new Engine({ options: { socketPath } } as ConstructorParameters<typeof Engine>[0], 1000, 1000), log);
  expect(entries).toEqual([expect.objectContaining({ message: "Engine not reached" })]);
  expect(entries[0]?.fields).toMatchObject({ code: expect.stringMatching(code), remedy: expect.stringMatching(remedy) });
});
