import { buffer } from "node:stream/consumers";
import { chownAppFolder } from "../../../lib/managed/app-folder";
import { run } from "../../../scripts/process";
import { EngineServers } from "../../support/unit/engine-servers";

const engines = new EngineServers();
afterEach(() => engines.stop());

test.each(["1000:1000", "262144:262145", "2097152:4294967294"])("/app belongs to the user %s", async (user) => {
  let sent: Promise<Buffer> | undefined;
  const { engine } = await engines.start(
    (request, response) => {
      sent = buffer(request);
      void sent.then(() => response.end());
    },
    { read: 60_000, write: 60_000 },
  );
  await chownAppFolder(engine, "a", user);
  const { stdout } = await run("tar", ["--numeric-owner", "-tvf", "-"], { input: await sent });
  expect(stdout).toMatch(new RegExp(`^drwxr-xr-x ${user.replace(":", "/")} .* app/$`, "m"));
});
