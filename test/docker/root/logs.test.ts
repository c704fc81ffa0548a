import { readFileSync, writeFileSync } from "node:fs";
import { isPodman, unlessPodman } from "../../support/engine";
import { TOKEN } from "../../support/server";
import { type OneNode, startNode } from "../../support/single-node";

let node: OneNode;
beforeAll(async () => {
  node = await startNode({ name: "logs", args: ["--output_limit=0.1"] });
  await node.docker("run", "--name", "both", "busybox", "sh", "-c", "echo out; echo err >&2; printf 'grün 漢字'");
  await node.docker("run", "--name", "ten", "busybox", "seq", "10");
  await node.docker("run", "--name", "paced", "busybox", "sh", "-c", "echo first; sleep 2; echo second; sleep 2; echo third");
});
afterAll(() => node?.stop());

const text = (pathname: string) => node.request("GET", pathname, { headers: { Accept: "text/plain" } });
const json = async (pathname: string) => (await node.request("GET", pathname)).json;

test("as JSON the log has separate stdout and stderr, and the container's name and id", async () => {
  const { Id } = await node.inspect("both");
  expect(await json("/both")).toEqual({ id: Id, name: "both", stdout: "out\ngrün 漢字", stderr: "err\n", host: expect.any(String) });
});

test("as text the log equals the output of docker logs", async () => {
  const answer = await text("/both");
  expect(answer.headers.get("content-type")).toBe("text/plain; charset=utf-8");
  // The two streams can come in either order, and the last line of stdout has no end.
  for (const part of ["out\n", "err\n", "grün 漢字"]) expect(answer.text).toContain(part);
  expect(answer.text).toHaveLength("out\nerr\ngrün 漢字".length);
});

test.each([
  ["*/*", "application/json"],
  ["application/json, text/plain", "application/json"],
  ["text/*", "text/plain"],
  ["text/plain, application/json;q=0.5", "text/plain"],
])("the response to Accept %s has the type %s", async (Accept, type) => {
  expect((await node.request("GET", "/both", { headers: { Accept } })).headers.get("content-type")).toContain(type);
});

test("tail limits the lines from the end, and all returns all", async () => {
  expect(await json("/ten?tail=3")).toMatchObject({ stdout: "8\n9\n10\n" });
  expect(await json("/ten?tail=0")).toMatchObject({ stdout: "" });
  expect((await json("/ten?tail=all")).stdout.split("\n")).toHaveLength(11);
  expect((await text("/ten?tail=2")).text).toBe("9\n10\n");
});

test("a line of more than 16,384 bytes, which the engine stores in pieces, is whole, and tail counts its last piece as a line", async () => {
  await node.docker("run", "--name", "long-line", "busybox", "sh", "-c", "head -c 20000 /dev/zero | tr '\\0' x; echo");
  expect((await json("/long-line")).stdout).toBe(`${"x".repeat(20_000)}\n`);
  // Podman's tail gives several of its pieces.
  const tail = isPodman ? expect.stringMatching(/^x{3616,20000}\n$/) : `${"x".repeat(20_000 - 16_384)}\n`;
  expect((await json("/long-line?tail=1")).stdout).toEqual(tail);
});

test("timestamps prefixes each line with a time", async () => {
  const lines = (await json("/ten?timestamps=true&tail=2")).stdout.trim().split("\n");
  for (const line of lines) expect(line).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z \d+$/);
});

test("since and until limit the log as seconds, a date or an age", async () => {
  const lines: string[] = (await json("/paced?timestamps=1")).stdout.trim().split("\n");
  const [first = 0, second = 0] = lines.map((line) => Date.parse(line.split(" ")[0] ?? ""));
  const between = (first + second) / 2;
  const from = (between / 1000).toFixed(3);
  const to = ((second + 1000) / 1000).toFixed(3);
  expect(await json(`/paced?since=${from}`)).toMatchObject({ stdout: "second\nthird\n" });
  expect(await json(`/paced?until=${from}`)).toMatchObject({ stdout: "first\n" });
  expect(await json(`/paced?since=${from}&until=${to}`)).toMatchObject({ stdout: "second\n" });
  expect(await json(`/paced?since=${new Date(between).toISOString()}`)).toMatchObject({ stdout: "second\nthird\n" });
  expect(await json("/paced?since=1h")).toMatchObject({ stdout: "first\nsecond\nthird\n" });
  expect(await json("/paced?until=1h")).toMatchObject({ stdout: "" });
});

unlessPodman("lines of the very time of `since` are left out")(
  "since takes a time of the log to the nanosecond and loses no line from there on",
  async () => {
    await node.docker("run", "--name", "dense", "busybox", "seq", "40");
    const lines: string[] = (await json("/dense?timestamps=1")).stdout.trim().split("\n");
    const [time = "", first = ""] = lines[10]?.split(" ") ?? [];
    const seconds = `${Date.parse(time.replace(/\.\d+/, "")) / 1000}.${/\.(\d+)/.exec(time)?.[1]}`;
    const expected = lines
      .map((line) => line.split(" "))
      .filter(([each = ""]) => each >= time)
      .map(([, number]) => `${number}\n`);
    expect(expected).toContain(`${first}\n`);
    for (const since of [seconds, time]) expect(await json(`/dense?since=${since}`)).toMatchObject({ stdout: expected.join("") });
  },
);

test.each(["tail=-1", "tail=ten", "since=yesterday", "until=-5", "timestamps=maybe", "follow=perhaps", "colour=red"])(
  "the query %s is refused with the name of the field",
  async (query) => {
    expect(await json(`/ten?${query}`)).toMatchObject({ status: 400, error: "validation_error", details: { field: query.split("=")[0] } });
  },
);

describe("with a log driver that preserves bytes (json-file does not)", () => {
  const raw = async (name: string) => {
    const headers = { Accept: "text/plain", Authorization: `Bearer ${TOKEN}` };
    return Buffer.from(await (await fetch(`${node.server.url}/${name}`, { headers })).arrayBuffer());
  };

  const testWithLocalDriver = unlessPodman("it has no log driver `local`");

  testWithLocalDriver("bytes that aren't UTF-8 are base64 with their encoding in JSON, and unchanged as text", async () => {
    await node.docker("run", "--log-driver=local", "--name", "binary", "busybox", "printf", "\\377\\000\\376\\001\\r\\n");
    const bytes = Buffer.from([0xff, 0, 0xfe, 1, 13, 10]);
    expect(await json("/binary")).toMatchObject({ stdout: bytes.toString("base64"), stdout_encoding: "base64", stderr: "" });
    expect(await raw("binary")).toEqual(bytes);
  });

  testWithLocalDriver("what the engine says of a log file that it can't read is an error, never output", async () => {
    await node.docker("run", "--log-driver=local", "--name", "damaged", "busybox", "sh", "-c", "echo first; echo second");
    const { Id } = await node.inspect("damaged");
    const root = await node.docker("info", "--format", "{{.DockerRootDir}}");
    const file = `${root}/containers/${Id}/local-logs/container.log`;
    const bytes = readFileSync(file);
    // The length before and after a message: the second message has another one after it than before.
    bytes.fill(0xff, bytes.length - 4);
    bytes.fill(0x7f, 4, 12);
    writeFileSync(file, bytes);
    // Newer engines answer nothing.
    const answer = await json("/damaged");
    expect(answer.code ?? answer.stdout).toMatch(/^(?:ENGINE_ERROR)?$/);
    const plain = await text("/damaged");
    expect(plain.status === 200 ? plain.text : plain.json.code).toMatch(/^(?:ENGINE_ERROR)?$/);
    await node.docker("rm", "damaged");
  });

  testWithLocalDriver("256 kB of random bytes are returned unchanged as text", async () => {
    await node.docker(
      "run",
      "--log-driver=local",
      "--name",
      "random",
      "busybox",
      "sh",
      "-c",
      "head -c 262143 /dev/urandom > /copy; echo >> /copy; cat /copy",
    );
    await node.docker("cp", "random:/copy", `${node.server.folder}/copy`);
    expect((await raw("random")).equals(readFileSync(`${node.server.folder}/copy`))).toBe(true);
  });
});

test("a log longer than output_limit is truncated to its end, and a split character does not make it binary", async () => {
  await node.docker("run", "--name", "long", "busybox", "sh", "-c", "yes 漢字漢字 | head -n 30000; echo end");
  const answer = await json("/long");
  expect(answer.truncated).toBe(true);
  expect(answer.stdout_encoding).toBeUndefined();
  expect(Buffer.byteLength(answer.stdout)).toBeGreaterThan(99_000);
  expect(Buffer.byteLength(answer.stdout)).toBeLessThanOrEqual(100_000);
  expect(answer.stdout.endsWith("漢字漢字\nend\n")).toBe(true);
});

test("the log of a container with a terminal is plain bytes", async () => {
  await node.docker("run", "-d", "--tty", "--name", "terminal", "busybox", "sh", "-c", "echo out; echo err >&2");
  await node.docker("wait", "terminal");
  expect(await json("/terminal")).toMatchObject({ stdout: "out\r\nerr\r\n", stderr: "" });
  expect((await text("/terminal")).text).toBe("out\r\nerr\r\n");
});

test("a prefix of twelve digits of the id is accepted, a shorter one is not, and a name takes precedence", async () => {
  const { Id } = await node.inspect("both");
  expect(await json(`/${Id}`)).toMatchObject({ name: "both" });
  expect(await json(`/${Id.slice(0, 12)}`)).toMatchObject({ name: "both" });
  expect(await json(`/${Id.slice(0, 11)}`)).toMatchObject({ status: 404, code: "CONTAINER_NOT_FOUND" });
  const { Id: other } = await node.inspect("ten");
  await node.docker("rename", "both", other.slice(0, 12));
  expect(await json(`/${other.slice(0, 12)}`)).toMatchObject({ id: Id });
});

test("the log of a missing container is 404", async () => {
  expect(await json("/nothing-by-this-name")).toMatchObject({ status: 404, error: "not_found", details: { id: "nothing-by-this-name" } });
});

test("HEAD of a container's name pulls and never reads its log", async () => {
  const answer = await node.request("HEAD", "/ten");
  expect([answer.status, answer.headers.get("x-error-code")]).toEqual([502, "REGISTRY_UNREACHABLE"]);
});

describe("GET /logs/search", () => {
  const search = async (query: string) => {
    const answer = await node.request("GET", `/logs/search?${query}`);
    const events = answer.text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    return { answer, found: events.slice(0, -1), result: events.at(-1) };
  };

  unlessPodman("a long line is found with the times of its pieces in it")(
    "finds the lines of all containers that hold a text in any case, the newest first, with their container, time and stream",
    async () => {
      const script =
        "for i in $(seq 5000); do echo line $i; done; echo Needle 1; echo NEEDLE 2 >&2; head -c 20000 /dev/zero | tr '\\0' x; echo needle";
      const tty = ["run", "-d", "--tty", "--name", "hay-tty", "busybox", "echo", "a needle here"];
      await node.docker("run", "--name", "hay", "busybox", "sh", "-c", script);
      await node.docker(...tty);
      await node.docker("wait", "hay-tty");
      await node.docker("run", "--log-driver=none", "--name", "hay-none", "busybox", "echo", "needle");
      // As a run, whose output is in its answer.
      const ofRun = ["--log-driver=none", "--label=docker-server.expires=9999999999"];
      await node.docker("run", ...ofRun, "--name", "hay-run", "busybox", "true");
      const { Id } = await node.inspect("hay");
      const { answer, found, result } = await search("q=needle");
      expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "application/x-ndjson; charset=utf-8"]);
      const host = found[0].node;
      expect(found.map(({ name, line }) => [name, line.slice(-8)])).toEqual(
        expect.arrayContaining([
          ["hay-tty", "dle here"],
          ["hay", "xxneedle"],
          ["hay", "NEEDLE 2"],
          ["hay", "Needle 1"],
        ]),
      );
      expect(found).toHaveLength(4);
      const times = found.map(({ time }) => time);
      expect(times).toEqual([...times].sort().reverse());
      for (const time of times) expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
      expect(found.find(({ line }) => line === "NEEDLE 2")).toEqual({
        node: host,
        id: Id,
        name: "hay",
        time: expect.any(String),
        stream: "stderr",
        line: "NEEDLE 2",
      });
      expect(result).toMatchObject({
        event: "result",
        lines: 4,
        complete: false,
        nodes: [host],
        missing: [],
        truncated: null,
        unknown: [],
        unreadable: ["hay-none"],
      });
      expect(result.bytes_read).toBeGreaterThan(100_000);
      const all = await search(`q=line&containers=hay&limit=1000`);
      expect(all.found.map(({ line }) => line)).toEqual(Array.from({ length: 1000 }, (_, index) => `line ${5000 - index}`));
      expect(all.result).toMatchObject({ truncated: "limit", complete: false, containers: 1 });
      const ofHay: { time: string; line: string }[] = found.filter(({ name }) => name === "hay");
      const [newest, second, oldest] = ofHay;
      const two = await search(`q=needle&containers=${Id.slice(0, 12)},nothing&since=${second?.time}&limit=2`);
      expect(two.found.map(({ line }) => line.slice(-8))).toEqual([newest?.line.slice(-8), second?.line.slice(-8)]);
      expect(two.result).toMatchObject({ truncated: null, complete: true, containers: 1, unknown: ["nothing"] });
      const pattern = await search(`q=${encodeURIComponent("nee.*dle")}&containers=hay`);
      expect(pattern.result).toMatchObject({ lines: 0, warnings: ["q is plain text: no part of it is a pattern"] });
      const backwards = await node.request("GET", "/logs/search?q=x&since=1h&until=2h");
      expect(backwards.json).toMatchObject({ status: 400, message: "until must not be before since" });
      expect((await search("q=nothing.else&containers=hay")).result).not.toHaveProperty("warnings");
      // An engine ends at the first line after `until`, and lines of the two streams can be stored the later first.
      const early = await search(`q=needle&containers=hay&until=${second?.time}`);
      expect(early.found.map(({ line }) => line)).toEqual([second?.line, oldest?.line]);
    },
  );

  test.each([
    "",
    "q=",
    "q=a%0Ab",
    "q=a&limit=0",
    "q=a&limit=1001",
    "q=a&since=later",
    "q=a&until=-1",
    "q=a&containers=a,,b",
    "q=a&regex=1",
  ])("the query %p is refused with the name of the field", async (query) => {
    const field = query.split("&").at(-1)?.split("=")[0] || "q";
    expect(await json(`/logs/search?${query}`)).toMatchObject({ status: 400, error: "validation_error", details: { field } });
  });
});
