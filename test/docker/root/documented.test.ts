import { existsSync, rmSync } from "node:fs";
import http from "node:http";
import { until } from "../../../scripts/process";
import { TOKEN } from "../../support/server";
import { BASIC, curl, type OneNode, startNode } from "../../support/single-node";

const IMAGE = "test-redis";
const DATA = "/tmp/data";

let node: OneNode;
let base: string;
const hadData = existsSync(DATA);

beforeAll(async () => {
  node = await startNode({ name: "documented", args: ["--run_wait=5"] });
  base = node.server.url;
  // Like the image of the examples, it serves port 6379 until it is removed.
  await node.docker("create", "--name", "model", "busybox", "true");
  await node.docker("commit", "-c", 'CMD ["httpd", "-f", "-p", "6379", "-h", "/etc"]', "model", IMAGE);
  await node.docker("rm", "model");
});
afterAll(async () => {
  await node?.stop();
  if (!hadData) rmSync(DATA, { recursive: true, force: true });
});

const example = (method: string, pathname: string, ...more: string[]) => curl("-X", method, `${base}${pathname}`, "-H", BASIC, ...more);

test("the documented list, runs and removals work in sequence", async () => {
  expect((await example("GET", "/")).json).toEqual([]);

  const ported = await example("PUT", "/", "--data", `name=p-redis&image=${IMAGE}&ports[1234]=6379`);
  expect(ported.status).toBe(202);
  expect(ported.json).toMatchObject({ name: "p-redis", status: "running", id: expect.stringMatching(/^[0-9a-f]{64}$/) });
  expect(await served(`http://${node.engine.address}:1234/passwd`)).toContain("root:x:0:0");

  const mounted = await example("PUT", "/", "--data", `name=v-redis&image=${IMAGE}&volumes[${DATA}]=/data`);
  expect(mounted.status).toBe(202);
  expect((await node.inspect("v-redis")).Mounts).toMatchObject([{ Type: "bind", Source: DATA, Destination: "/data", RW: true }]);

  const listed = await example("GET", "/");
  expect(listed.json.map((each: { name: string }) => each.name).sort()).toEqual(["p-redis", "v-redis"]);

  expect((await example("DELETE", "/p-redis")).status).toBe(200);
  expect((await example("DELETE", "/v-redis")).status).toBe(200);
  expect(await node.names()).toEqual([]);
});

test("each row of the table of methods does the same as the docker command", async () => {
  expect((await example("PUT", "/", "--data", `name=rows&image=${IMAGE}&detach=true`)).json).toMatchObject({ status: "running" });
  const executed = await example("POST", "/rows", "--data", "data=echo said&tty=false&interactive=false");
  expect(executed.json).toMatchObject({ exit_code: 0, stdout: "said\n" });
  expect((await example("GET", "/rows")).json).toMatchObject({ name: "rows", stdout: "", stderr: "" });
  expect((await example("DELETE", "/rows")).json).toMatchObject({ name: "rows", removed: true });
  // Without a registry the pull fails as without a network; pull.test.ts has real registries.
  for (const reference of ["redis", "127.0.0.1:1/redis"]) {
    const pull = await curl("--head", `${base}/${reference}`, "-H", BASIC);
    expect([reference, pull.status, pull.headers["x-error-code"]]).toEqual([reference, 502, "REGISTRY_UNREACHABLE"]);
  }
});

test("POST with tty gives the command a terminal, and with interactive standard input", async () => {
  await example("PUT", "/", "--data", `name=options&image=${IMAGE}&detach=true`);
  expect((await example("POST", "/options", "--data", "data=tty&tty=true")).json.stdout).toContain("/dev/pts/");
  expect((await example("POST", "/options", "--data", "data=cat&interactive=true&stdin=given")).json.stdout).toBe("given");
  await example("DELETE", "/options");
});

test("JSON and form bodies have the same effect", async () => {
  const form = await example("PUT", "/", "--data", "image=busybox&remove=true&data=echo one two");
  const json = await example(
    "PUT",
    "/",
    "-H",
    "Content-Type: application/json",
    "--data",
    '{"image":"busybox","remove":true,"data":"echo one two"}',
  );
  const outcome = { status: "exited", exit_code: 0, stdout: "one two\n", stderr: "" };
  expect(form.json).toMatchObject(outcome);
  expect(json.json).toMatchObject(outcome);
});

test.each([
  ["Basic base64(token)", BASIC],
  ["basic in lower case", BASIC.replace("Basic", "basic")],
  ["Bearer token", `Authorization: Bearer ${TOKEN}`],
  ["bearer in capitals", `Authorization: BEARER ${TOKEN}`],
  ["X-Access-Token", `X-Access-Token: ${TOKEN}`],
])("the token is accepted as %s", async (_form, header) => {
  expect((await curl(`${base}/`, "-H", header)).json).toEqual([]);
});

test.each([
  ["a wrong token", "Authorization: Bearer wrong"],
  ["the old default token", `Authorization: Basic ${Buffer.from("xxxxxx").toString("base64")}`],
  ["an empty token", "Authorization: Basic "],
  ["an unknown scheme", `Authorization: Digest ${TOKEN}`],
])("%s is refused with 401", async (_form, header) => {
  const answer = await curl(`${base}/`, "-H", header);
  expect([answer.status, answer.json.error]).toEqual([401, "auth_error"]);
  expect(answer.headers["www-authenticate"]).toContain("Basic");
});

test("without credentials GET / returns the service's name and version, and every other verb is refused", async () => {
  const info = await curl(`${base}/`);
  expect(info.status).toBe(200);
  expect(info.json).toMatchObject({ name: "docker-server", version: expect.any(String) });
  for (const [method, pathname] of [
    ["PUT", "/"],
    ["GET", "/any"],
    ["POST", "/any"],
    ["DELETE", "/any"],
  ] as const) {
    expect((await curl("-X", method, `${base}${pathname}`)).json.code).toBe("MISSING_CREDENTIALS");
  }
  expect((await curl("--head", `${base}/busybox`)).status).toBe(401);
});

async function served(url: string): Promise<string> {
  let text = "";
  const get = () =>
    new Promise<boolean>((resolve) => {
      const request = http.get(url, (response) => {
        response.on("data", (chunk) => {
          text += chunk;
        });
        response.on("end", () => resolve(true));
      });
      request.on("error", () => resolve(false));
    });
  if (!(await until(get, 10_000))) throw new Error(`${url} is not served`);
  return text;
}
