import path from "node:path";
import { loadSettings } from "../../../config/load";
import packageJson from "../../../package.json";
import { ROOT, sourceOf } from "../../support/unit/sources";

test("the program accepts the example of a config file", async () => {
  const loaded = await loadSettings([`--config=${path.join(ROOT, "examples/docker-server.json")}`], {}, "/nonexistent");
  expect(loaded?.settings).toMatchObject(JSON.parse(sourceOf("examples/docker-server.json")));
});

test("the program accepts the options of the systemd unit, and the unit gives a stop the time that it takes", async () => {
  const unit = sourceOf("examples/docker-server.service");
  const [, line = ""] = /^ExecStart=\S+ docker-server (.*)$/m.exec(unit) ?? [];
  const argv = line.replace("/etc/docker-server/config.json", path.join(ROOT, "examples/docker-server.json")).split(" ");
  const loaded = await loadSettings(argv, {}, "/nonexistent");
  expect(loaded?.settings.token_file).toBe("%d/tokens");
  expect(unit).toMatch(/^LoadCredential=tokens:/m);
  expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1])).toBeGreaterThan(Number(loaded?.settings.stop_timeout));
  expect(loaded?.settings.log_dir).toBe(`/var/log/${/^LogsDirectory=(.*)$/m.exec(unit)?.[1]}`);
});

test("the package has the examples and the file for pm2, and the image's version is the package's", () => {
  expect(packageJson.files).toEqual(expect.arrayContaining(["examples", "pm2.config.js", "docs"]));
  expect(sourceOf("Dockerfile")).toContain(`org.opencontainers.image.version="${packageJson.version}"`);
});
