import { readFileSync } from "node:fs";
import { until } from "../../../scripts/process";
import { watchProcesses } from "../../support/process-watcher";
import { TOKEN } from "../../support/server";
import { auditEntries, everythingLogged, type OneNode, startNode } from "../../support/single-node";

const SECRET = "s3cret-Value-Xk9";

let node: OneNode;
beforeAll(async () => {
  node = await startNode({ name: "env", args: ["--log_level=trace"] });
});
afterAll(() => node?.stop());

const put = (json: Record<string, unknown>) => node.request("PUT", "/", { json: { image: "busybox", data: "true", ...json } });

async function environmentOf(name: string): Promise<Record<string, string>> {
  const { Config } = await node.inspect(name);
  return Object.fromEntries((Config.Env as string[]).map((each) => [each.slice(0, each.indexOf("=")), each.slice(each.indexOf("=") + 1)]));
}

const VALUES: Record<string, string> = {
  PLAIN: "value",
  EMPTY: "",
  EQUALS: "a=b=c==",
  LINES: "one\ntwo\r\nthree\n",
  QUOTES: `it's "quoted" \\ \`back\``,
  SHELL: "$HOME $(id) `id` ; | & > < * ~ !",
  HASH: "# no comment",
  SPACES: "  around  ",
  DOCKER_STDIN: "DOCKER_STDIN",
  WIDE: "漢字 ünï 🐳",
  LONG: "x".repeat(70_000),
  PATH: "/opt/own:/bin",
  "with.dot-dash": "kept",
};

test.each(Object.entries(VALUES))("the variable %s has exactly its value in the container", async (name, value) => {
  const container = `env-${name.toLowerCase()}`;
  expect((await put({ name: container, env: { [name]: value }, data: "/bin/true" })).json).toMatchObject({ exit_code: 0 });
  expect((await environmentOf(container))[name]).toBe(value);
});

test("all variables together have exactly their values, and the other options apply", async () => {
  const more = {
    labels: { a: "b" },
    hostname: "own-host",
    memory: "64m",
    ports: { 7070: 80 },
    remove: false,
    workdir: "/tmp",
    user: "nobody",
  };
  expect((await put({ name: "env-all", env: VALUES, ...more, data: "/bin/hostname" })).json).toMatchObject({
    exit_code: 0,
    stdout: "own-host\n",
  });
  expect(await environmentOf("env-all")).toMatchObject(VALUES);
  const { Config, HostConfig } = await node.inspect("env-all");
  expect(Config).toMatchObject({ Labels: { a: "b" }, WorkingDir: "/tmp", User: "nobody", Cmd: ["/bin/hostname"] });
  expect(HostConfig).toMatchObject({ Memory: 64 * 1024 * 1024, PortBindings: { "80/tcp": [{ HostPort: "7070" }] } });
});

test("numbers and booleans become text", async () => {
  await put({ name: "env-scalar", env: { PORT: 80, DEBUG: true } });
  expect(await environmentOf("env-scalar")).toMatchObject({ PORT: "80", DEBUG: "true" });
});

test("a variable named like a docker setting does not affect docker", async () => {
  const env = { DOCKER_HOST: "tcp://127.0.0.1:1", DOCKER_CONTEXT: "none", LD_PRELOAD: "/nowhere.so", HOME: "/nowhere", DEBUG: "1" };
  expect((await put({ name: "env-docker", env })).json).toMatchObject({ status: "exited" });
  expect(await environmentOf("env-docker")).toMatchObject(env);
});

test.each([
  ["one line", SECRET],
  ["several lines", `first\n${SECRET}`],
  ["a long value", SECRET.repeat(5000)],
])("a secret of %s is in no process list while the container is created", async (what, value) => {
  const name = `secret-${what.replaceAll(" ", "-")}`;
  const command = new RegExp(`create\\0.*${name}`, "s");
  const leaks = await watchProcesses(command, SECRET, (attempt) => put({ name: `${name}-${attempt}`, env: { SECRET: value } }));
  expect(leaks).toEqual([]);
  expect((await environmentOf(`${name}-1`)).SECRET).toBe(value);
});

test("a secret is in no process list while it is passed to an exec", async () => {
  await put({ name: "execs", detach: true, data: "sleep 1000" });
  const exec = async () => {
    const { json } = await node.request("POST", "/execs", { json: { data: "sh -c 'sleep 0.5; echo $SECRET'", env: { SECRET } } });
    expect(json.stdout).toBe(`${SECRET}\n`);
  };
  const leaks = await watchProcesses(/0\.5; echo/, SECRET, exec);
  // The command in the container has it in its environment as requested, and not in its arguments.
  expect(leaks.filter((leak) => !leak.startsWith("PATH=") && !leak.includes("\0SECRET="))).toEqual([]);
});

test("no log contains a secret: values, standard input, right and wrong tokens", async () => {
  await node.request("POST", "/execs", { json: { data: "cat", interactive: true, stdin: SECRET } });
  await put({ env: { SECRET }, memory: "1k" });
  await put({ env: { SECRET }, image: "not-here", pull: "never" });
  await node.request("PUT", "/", { json: { image: "busybox", env: { SECRET: [SECRET] } } });
  await node.request("GET", `/execs?secret=${SECRET}`);
  await node.request("GET", "/execs", { headers: { Authorization: `Bearer wrong-${SECRET}` } });
  await fetch(`${node.server.url}/`, {
    method: "PUT",
    headers: { "X-Access-Token": TOKEN, "Content-Type": "application/json" },
    body: `{"env": {"SECRET": "${SECRET}"`,
  });
  // The log is written after the responses were sent.
  const refused = () => auditEntries(node.server).filter(({ path, status }) => path === "/execs" && status === 401);
  expect(await until(() => refused().length > 0, 10_000)).toBe(true);
  const logged = everythingLogged(node.server);
  expect(auditEntries(node.server).length).toBeGreaterThan(10);
  expect(logged).not.toContain(SECRET);
  expect(logged).not.toContain(TOKEN);
  expect(logged).not.toContain(Buffer.from(TOKEN).toString("base64"));
});

test("the token is in no process list, including the server's own", async () => {
  const leaks = await watchProcesses(/docker-server/, TOKEN, (attempt) => put({ name: `listed-${attempt}` }));
  // Other suites use the same token: a server has it in its arguments until it has hidden them, a client in its own.
  expect(leaks.filter((leak) => !leak.includes("\0--port\0") && !leak.startsWith("curl\0"))).toEqual([]);
  expect(readFileSync(`/proc/${node.server.process.pid}/cmdline`, "utf8")).not.toContain(TOKEN);
});
