import http from "node:http";
import { until } from "../../../scripts/process";
import { ALL_ADDRESSES, isPodman } from "../../support/engine";
import { TOKEN } from "../../support/server";
import { type OneNode, startNode } from "../../support/single-node";

const PATIENCE = 20_000;

let node: OneNode;
beforeAll(async () => {
  node = await startNode({ name: "run", args: ["--run_wait=5", "--output_limit=0.1"] });
});
afterAll(() => node?.stop());

const put = (json: Record<string, unknown>) => node.request("PUT", "/", { json: { image: "busybox", ...json } });
const form = (text: string) => node.request("PUT", "/", { form: `image=busybox&${text}` });
const exists = async (name: string) => (await node.names()).includes(name);

test("a foreground run returns exit code, stdout and stderr, and the container remains", async () => {
  const answer = await put({ name: "three", data: ["sh", "-c", "echo out; echo err >&2; exit 3"] });
  expect(answer.status).toBe(200);
  const id = (await node.inspect("three")).Id;
  expect(answer.json).toEqual({
    id,
    name: "three",
    status: "exited",
    host: expect.any(String),
    exit_code: 3,
    stdout: "out\n",
    stderr: "err\n",
  });
});

test("output that isn't UTF-8 is returned as base64 with its encoding", async () => {
  const { json } = await put({ data: ["printf", "\\377\\376"] });
  expect(json).toMatchObject({ stdout: Buffer.from([0xff, 0xfe]).toString("base64"), stdout_encoding: "base64", stderr: "" });
});

test("a run that doesn't end is answered 202 with its id and continues", async () => {
  const answer = await put({ name: "long", data: "sleep 1000" });
  expect([answer.status, answer.json.status]).toEqual([202, "running"]);
  expect((await node.inspect("long")).State.Running).toBe(true);
  expect(answer.json.id).toBe((await node.inspect("long")).Id);
});

test("detach returns the id without waiting for the end", async () => {
  const answer = await put({ name: "detached", detach: true, data: "sleep 1000" });
  expect(answer.status).toBe(200);
  expect(answer.json).toEqual({ id: (await node.inspect("detached")).Id, name: "detached", status: "running", host: expect.any(String) });
});

test("a run without a name gets a UUID", async () => {
  const { json } = await put({ data: "true" });
  expect(json.name).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect((await node.inspect(json.id)).Name).toBe(`/${json.name}`);
});

test("with remove the container is removed before the answer, or at its end", async () => {
  expect((await put({ name: "gone", remove: true, data: "sh -c 'exit 5'" })).json).toMatchObject({ exit_code: 5 });
  expect(await exists("gone")).toBe(false);
  await put({ name: "gone-later", remove: true, detach: true, data: "sleep 1" });
  expect(await until(async () => !(await exists("gone-later")), PATIENCE)).toBe(true);
});

test("no anonymous volume of the image stays, however a run fails or is removed", async () => {
  await node.docker("create", "--name", "volume-model", "busybox", "true");
  await node.docker("commit", "-c", "VOLUME /data", "volume-model", "with-volume");
  const image = "with-volume";
  const volumes = () => node.docker("volume", "ls", "--quiet");
  expect((await put({ image, data: "/nosuch" })).status).toBe(400);
  expect(await volumes()).toBe("");
  expect((await put({ image, data: "/nosuch", remove: true })).status).toBe(400);
  expect(await volumes()).toBe("");
  const published = { image, container_port: 80, command: "/nosuch" };
  expect((await node.request("POST", "/containers/run", { json: published })).json).toMatchObject({ status: 400, code: "INVALID_SPEC" });
  expect(await volumes()).toBe("");
  expect((await put({ image, env: { LINES: "1\n2" }, remove: true, data: "true" })).json).toMatchObject({ exit_code: 0 });
  expect(await volumes()).toBe("");
  for (const [method = "", pathname = ""] of [
    ["DELETE", "/ended"],
    ["DELETE", "/containers/ended"],
    ["POST", "/containers/ended/stop?timeout=0"],
  ]) {
    await put({ image, name: "ended", detach: true, remove: true, data: "sleep 1000" });
    const { status, json } = await node.request(method, pathname);
    expect(status).toBe(200);
    expect(await volumes()).toBe("");
    // Some engines list it as dead for a moment.
    if (pathname.includes("stop")) expect(json.status).toBe("exited");
    expect(await exists("ended")).toBe(false);
  }
});

test("remove overrides restart with a warning", async () => {
  const { json } = await put({ name: "both-ends", remove: true, restart: "always", data: "true" });
  expect(json.exit_code).toBe(0);
  expect(json.warnings).toEqual([expect.stringContaining("remove")]);
  expect(await exists("both-ends")).toBe(false);
});

test("without a command that of the image runs", async () => {
  await node.docker("create", "--name", "model", "busybox", "true");
  await node.docker("commit", "-c", 'CMD ["echo", "the image speaks"]', "model", "speaking");
  expect((await put({ image: "speaking" })).json).toMatchObject({ stdout: "the image speaks\n" });
});

test("data as text is split like a shell command line without expansion", async () => {
  const data = `printf '[%s]' plain "two words" 'single $HOME' es\\ caped $HOME ; | && > /x \`id\` $(id) * ~ # a"b"'c'`;
  const { json } = await put({ name: "split", data });
  const words = [
    "plain",
    "two words",
    "single $HOME",
    "es caped",
    "$HOME",
    ";",
    "|",
    "&&",
    ">",
    "/x",
    "`id`",
    "$(id)",
    "*",
    "~",
    "#",
    "abc",
  ];
  expect(json.stdout).toBe(words.map((word) => `[${word}]`).join(""));
  expect((await node.inspect("split")).Config.Cmd).toEqual(["printf", "[%s]", ...words]);
});

test("data as a list is passed unchanged", async () => {
  const words = ["a b", "", "'", '"', "\\", "$HOME", "x\ny", " inspect ", " ps ", "--", "-v", "漢字"];
  const { json } = await put({ data: ["printf", "[%s]", ...words] });
  expect(json.stdout).toBe(words.map((word) => `[${word}]`).join(""));
});

test("an unclosed quote is a 400 that names data", async () => {
  expect((await put({ data: "echo 'open" })).json).toMatchObject({ status: 400, details: { field: "data" } });
});

test("the words inspect and ps in a command do not affect the answer", async () => {
  expect((await put({ data: "echo docker inspect me ps x" })).json).toMatchObject({ exit_code: 0, stdout: "docker inspect me ps x\n" });
});

test("an entrypoint of several words precedes the command", async () => {
  const { json } = await put({ name: "entry", entrypoint: ["sh", "-c", 'echo "$0 $1"'], data: ["zero", "one two"] });
  expect(json.stdout).toBe("zero one two\n");
  expect((await put({ entrypoint: "echo via text" })).json).toMatchObject({ stdout: "via text\n" });
});

test("in a form remove and detach accept true and false", async () => {
  const answer = await form("name=false-words&remove=false&detach=false&data=echo here");
  expect(answer.json).toMatchObject({ status: "exited", stdout: "here\n" });
  expect(await exists("false-words")).toBe(true);
  expect((await form("name=true-words&remove=true&detach=true&data=sleep 1000")).json).toMatchObject({ status: "running" });
  expect((await node.inspect("true-words")).HostConfig.AutoRemove).toBe(true);
});

test("in a form small numbers are keys of a map and not list indexes", async () => {
  await form("name=mapped&detach=true&data=sleep 1000&ports[80]=8080&ports[0]=9090&env[A]=1&labels[x]=y&tmpfs[/scratch]=size=1m");
  const { HostConfig, Config } = await node.inspect("mapped");
  expect(HostConfig.PortBindings["8080/tcp"]).toEqual([{ HostIp: ALL_ADDRESSES, HostPort: "80" }]);
  expect(HostConfig.PortBindings["9090/tcp"]).toHaveLength(1);
  // Podman adds options of its own.
  expect(HostConfig.Tmpfs).toEqual({ "/scratch": isPodman ? expect.stringMatching(/^size=1m,/) : "size=1m" });
  expect(Config.Env).toContain("A=1");
  expect(Config.Labels).toEqual({ x: "y", "docker-server.run": "mapped" });
});

test("a form can contain a list with numbers or empty brackets", async () => {
  expect((await form("data[0]=echo&data[1]=a b")).json).toMatchObject({ stdout: "a b\n" });
  expect((await form("data[]=echo&data[]=c  d")).json).toMatchObject({ stdout: "c  d\n" });
});

test.each(["health", "images", "run", "volumes", "docs", "openapi.json", "_ping", "v1.43", "metrics", "containers"])(
  "the name %s belongs to the API and is refused",
  async (name) => {
    expect((await put({ name, data: "true" })).json).toMatchObject({ status: 400, code: "INVALID_NAME", details: { field: "name" } });
  },
);

test("a client's disconnect leaves a foreground run running", async () => {
  const slow = http.request(node.server.url, {
    method: "PUT",
    headers: { Authorization: `Bearer ${TOKEN}`, "Content-Type": "application/json" },
  });
  slow.on("error", () => undefined);
  slow.end(JSON.stringify({ image: "busybox", name: "left", data: "sh -c 'sleep 4; echo done; exit 6'" }));
  const running = async () => (await node.docker("ps", "--filter", "name=^left$", "--format", "{{.State}}")) === "running";
  expect(await until(running, PATIENCE)).toBe(true);
  slow.destroy();
  expect(await until(async () => (await node.inspect("left")).State.Status === "exited", PATIENCE)).toBe(true);
  expect((await node.inspect("left")).State.ExitCode).toBe(6);
  expect((await node.request("GET", "/left")).json).toMatchObject({ stdout: "done\n" });
});

test("output over output_limit is truncated to its end and marked", async () => {
  const { json } = await put({ data: "sh -c 'yes 0123456789abcde | head -n 20000; echo end'" });
  expect(json).toMatchObject({ exit_code: 0, truncated: true });
  expect(json.stdout).toHaveLength(100_000);
  expect(json.stdout.endsWith("abcde\nend\n")).toBe(true);
});

test("five concurrent runs each return their own output", async () => {
  const answers = await Promise.all(Array.from({ length: 5 }, (_, index) => put({ data: `echo run ${index}`, remove: true })));
  // On a slow machine some of them may take longer than run_wait and be answered 202.
  for (const [index, { status, json }] of answers.entries()) {
    if (status === 200) expect(json.stdout).toBe(`run ${index}\n`);
    else expect(status).toBe(202);
  }
  expect(answers.some(({ status }) => status === 200)).toBe(true);
});
