import { until } from "../../../scripts/process";
import { unlessPodman } from "../../support/engine";
import { type OneNode, startNode } from "../../support/single-node";

const PATIENCE = 20_000;

let node: OneNode;
beforeAll(async () => {
  node = await startNode({ name: "exec", args: ["--run_wait=5"] });
  await node.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000");
});
afterAll(() => node?.stop());

const post = (json: Record<string, unknown>, id = "box") => node.request("POST", `/${id}`, { json });

test("a command returns exit code, stdout and stderr", async () => {
  const { status, json } = await post({ data: ["sh", "-c", "echo out; echo err >&2; exit 3"] });
  expect(status).toBe(200);
  expect(json).toEqual({
    id: (await node.inspect("box")).Id,
    name: "box",
    exec_id: expect.stringMatching(/^[0-9a-f]{64}$/),
    exit_code: 3,
    running: false,
    stdout: "out\n",
    stderr: "err\n",
    host: expect.any(String),
  });
});

test("data as text is split into words without expansion, and as a list it is unchanged", async () => {
  const { json } = await post({ data: `printf '[%s]' $HOME ; '$(id)' "a b"` });
  expect([json.stdout, json.warnings]).toEqual([
    "[$HOME][;][$(id)][a b]",
    [expect.stringMatching(/^no shell runs the command, which gets ; as/)],
  ]);
  expect((await post({ data: ["printf", "[%s]", "a b", "", "'", "-v"] })).json.stdout).toBe("[a b][]['][-v]");
});

test("stdin without interactive is not read, and a warning says so", async () => {
  const { status, json } = await post({ command: ["cat"], stdin: "unread" });
  expect([status, json.stdout, json.warnings]).toEqual([200, "", ["stdin is given only with interactive"]]);
  expect((await post({ command: ["cat"], stdin: "read", interactive: true })).json).not.toHaveProperty("warnings");
});

test("tty gives a terminal, whose output is all stdout", async () => {
  expect((await post({ data: "sh -c 'tty; echo err >&2'", tty: true })).json).toMatchObject({
    stdout: expect.stringMatching(/^\/dev\/pts\/\d+\r\nerr\r\n$/),
    stderr: "",
  });
  expect((await post({ data: "tty" })).json).toMatchObject({ exit_code: 1, stdout: expect.stringContaining("not a tty") });
});

test("interactive passes stdin of the body unchanged, also more than 1 MB", async () => {
  const stdin = `${"0123456789 漢字\n".repeat(60_000)}end`;
  const bytes = Buffer.byteLength(stdin);
  expect(bytes).toBeGreaterThan(1_000_000);
  expect((await post({ data: "wc -c", interactive: true, stdin })).json.stdout.trim()).toBe(String(bytes));
  expect((await post({ data: "cat", interactive: true, stdin })).json.stdout).toBe(stdin);
});

test("the end of stdin never loses output", async () => {
  for (let turn = 0; turn < 10; turn++) {
    expect((await post({ data: "sh -c 'cat; sleep 0.05; echo after; exit 4'", interactive: true, stdin: "in\n" })).json).toMatchObject({
      stdout: "in\nafter\n",
      exit_code: 4,
    });
  }
});

unlessPodman("it may reset the connection before the output is read")(
  "a command that does not read its large input still returns a result",
  async () => {
    expect((await post({ data: "echo unread", interactive: true, stdin: "x".repeat(2_000_000) })).json).toMatchObject({
      exit_code: 0,
      stdout: "unread\n",
    });
  },
);

test("interactive without stdin gives an empty input, and without interactive there is none", async () => {
  expect((await post({ data: "cat", interactive: true })).json).toMatchObject({ exit_code: 0, stdout: "" });
  expect((await post({ data: "cat", stdin: "not given" })).json).toMatchObject({ exit_code: 0, stdout: "" });
});

test("tty and interactive work together", async () => {
  const { json } = await post({ data: "sh -c 'read line; echo got $line'", tty: true, interactive: true, stdin: "this\n" });
  expect(json).toMatchObject({ exit_code: 0, stdout: expect.stringContaining("got this\r\n") });
});

test("env, workdir and user apply", async () => {
  const { json } = await post({ data: "sh -c 'echo $A-$B; pwd; id -un'", env: { A: "one", B: "two=2" }, workdir: "/tmp", user: "nobody" });
  expect(json.stdout).toBe("one-two=2\n/tmp\nnobody\n");
});

test("output that isn't UTF-8 is returned as base64 with its encoding", async () => {
  expect((await post({ data: ["printf", "\\377"] })).json).toMatchObject({ stdout: "/w==", stdout_encoding: "base64" });
});

test("a command that doesn't end is answered 202 and continues", async () => {
  const { status, json } = await post({ data: "sh -c 'echo begun; sleep 8; touch /ended'" });
  expect(status).toBe(202);
  expect(json).toMatchObject({ running: true, exit_code: null, stdout: "begun\n", exec_id: expect.any(String) });
  expect(await until(async () => (await node.engine.docker(["exec", "box", "test", "-e", "/ended"])).code === 0, PATIENCE)).toBe(true);
});

test.each([
  ["a command that isn't there", { data: "no-such-command" }],
  ["a folder", { data: "/etc" }],
  ["an unknown user", { data: "true", user: "no-such-user" }],
])("%s returns exit code 126 or 127 and the reason, or 400, depending on the engine", async (_what, body) => {
  const { status, json, text } = await post(body);
  if (status === 200) expect([126, 127]).toContain(json.exit_code);
  else expect(json).toMatchObject({ status: 400, error: "validation_error" });
  expect(text).toMatch(/no-such-command|\/etc|no-such-user/);
});

test("cat in a terminal ends with its input, with or without a final line break", async () => {
  for (const stdin of ["", "one\n", "one\ntwo"]) {
    const { json } = await post({ data: "cat", tty: true, interactive: true, stdin });
    expect(json).toMatchObject({ exit_code: 0, running: false });
    if (stdin !== "") expect(json.stdout).toContain("one");
  }
});

test("a stopped or paused container is 409, a missing one 404", async () => {
  await node.docker("run", "--name", "stopped", "busybox", "true");
  expect((await post({ data: "true" }, "stopped")).json).toMatchObject({ status: 409, error: "conflict", code: "NOT_RUNNING" });
  await node.docker("run", "-d", "--name", "paused", "busybox", "sleep", "1000");
  await node.docker("pause", "paused");
  expect((await post({ data: "true" }, "paused")).json).toMatchObject({ status: 409, error: "conflict", code: "NOT_RUNNING" });
  expect((await post({ data: "true" }, "not-there")).json).toMatchObject({ status: 404, error: "not_found" });
});

test.each([
  ["command", {}],
  ["data", { data: "" }],
  ["data", { data: [] }],
  ["data", { data: "'open" }],
  ["tty", { data: "true", tty: "perhaps" }],
  ["interactive", { data: "true", interactive: 2 }],
  ["stdin", { data: "true", stdin: { a: 1 } }],
  ["env.A=B", { data: "true", env: { "A=B": "" } }],
  ["user", { data: "true", user: 0 }],
  ["privileged", { data: "true", privileged: true }],
])("the field %s of %j is refused and named", async (field, body) => {
  expect((await post(body)).json).toMatchObject({ status: 400, error: "validation_error", details: { field } });
});

describe("DELETE", () => {
  const remove = (id: string) => node.request("DELETE", `/${id}`);

  test("removes a running, a stopped and a paused container", async () => {
    await node.docker("run", "-d", "--name", "r1", "busybox", "sleep", "1000");
    await node.docker("run", "--name", "r2", "busybox", "true");
    await node.docker("create", "--name", "r3", "busybox", "true");
    for (const name of ["r1", "r2", "r3"]) {
      const { Id } = await node.inspect(name);
      const { status, json } = await remove(name);
      expect(status).toBe(200);
      expect(json).toEqual({ id: Id, name, removed: true, host: expect.any(String) });
      expect(await node.names()).not.toContain(name);
      expect((await remove(name)).json).toMatchObject({ status: 404, code: "CONTAINER_NOT_FOUND" });
    }
  });

  test("accepts a name or a full id, and never a prefix", async () => {
    const id = await node.docker("create", "--name", "kept", "busybox", "true");
    for (const length of [12, 32, 63]) expect((await remove(id.slice(0, length))).json).toMatchObject({ status: 404 });
    expect((await remove("kep")).json).toMatchObject({ status: 404 });
    expect(await node.names()).toContain("kept");
    expect((await remove(id)).json).toMatchObject({ name: "kept", removed: true });
  });

  test("concurrent removals of one container each return 200 or 404, and it is removed", async () => {
    await node.docker("run", "-d", "--name", "many", "busybox", "sleep", "1000");
    const answers = await Promise.all(Array.from({ length: 5 }, () => remove("many")));
    for (const { status } of answers) expect([200, 404]).toContain(status);
    expect(answers.some(({ status }) => status === 200)).toBe(true);
    expect(await node.names()).not.toContain("many");
  });

  test("with a reserved word or without a name removes nothing", async () => {
    const before = await node.names();
    for (const pathname of ["", "health", "images", "containers", "version"]) {
      expect([404, 405]).toContain((await remove(pathname)).status);
    }
    expect(await node.names()).toEqual(before);
  });
});
