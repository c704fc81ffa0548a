import { randomUUID } from "node:crypto";
import { type Engine, leaseEngine } from "../../support/engine";
import { startLimited } from "../../support/limited-server";
import type { TestServer } from "../../support/server";
import { startWeb } from "../../support/web-container";

let engine: Engine;
/** Another host, on which the server runs: the container's port and network can't be reached there. */
let serverHost: Engine;
let server: TestServer;
const web = `web-${randomUUID().slice(0, 8)}`;

beforeAll(async () => {
  [engine, serverHost] = await Promise.all([leaseEngine({ name: "proxy" }), leaseEngine({ name: "server" })]);
  await engine.docker(["network", "create", "--subnet", "172.31.99.0/24", "apart"]);
  await startWeb(engine, web, "--network", "apart");
  server = await startLimited(engine, ["--token=right", "--low_burst=3", "--mid_burst=3", "--high_burst=3"], serverHost);
});

afterAll(async () => {
  await server?.stop();
  await Promise.all([engine?.stop(), serverHost?.stop()]);
});

const ask = async (token: string) => {
  const { json, headers } = await server.request("GET", `/proxy/${web}/`, { headers: { Authorization: `Bearer ${token}` } });
  return [json.code ?? "OK", headers.get("retry-after") !== null];
};

test("proxied requests have no rate limit, but wrong credentials are limited", async () => {
  // UPSTREAM_UNREACHABLE shows that the request was authenticated and not limited.
  for (let count = 0; count < 10; count++) expect(await ask("right")).toEqual(["UPSTREAM_UNREACHABLE", false]);
  for (let count = 0; count < 3; count++) expect(await ask("wrong")).toEqual(["WRONG_CREDENTIALS", false]);
  expect(await ask("wrong")).toEqual(["TOO_MANY_WRONG_CREDENTIALS", true]);
  expect(await ask("right")).toEqual(["UPSTREAM_UNREACHABLE", false]);
});
