import { once } from "node:events";
import net from "node:net";
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

test("of an engine that accepts connections and never answers the log says so", async () => {
  const silent = net.createServer().listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address() as net.AddressInfo;
  const { log, entries } = quietLog();
  try {
    const options = { protocol: "http", host: "127.0.0.1", port };
    await logEngine(new Engine({ options } as ConstructorParameters<typeof Engine>[0], 1000, 1000), log);
  } finally {
    silent.close();
  }
  expect(entries[0]?.fields).toEqual({ code: undefined, reason: "it does not answer", remedy: expect.stringContaining("--docker_host") });
});
