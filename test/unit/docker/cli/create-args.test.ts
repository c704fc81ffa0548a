import fc from "fast-check";
import { createArgs, envFile } from "../../../../lib/docker/cli/create-args";
import type { RunSpec } from "../../../../lib/docker/create/run-spec";
import { PLAIN_RUN_SPEC } from "../../../support/unit/run-spec";

/** The arguments of a plain container with these fields replaced. */
const argsOf = (fields: Partial<RunSpec>) => createArgs({ ...PLAIN_RUN_SPEC, ...fields });
const BEFORE = ["create", "--name=n", "--pull=never"];

test.each<[Partial<RunSpec>, string[]]>([
  [{ remove: true }, ["--rm"]],
  [
    {
      ports: [
        ["8080", "80"],
        ["127.0.0.1:53", "53/udp"],
      ],
    },
    ["--publish=8080:80", "--publish=127.0.0.1:53:53/udp"],
  ],
  [{ ports: [["0", "80"]] }, ["--publish=80"]],
  [
    {
      ports: [
        ["", "80"],
        ["", "81"],
      ],
    },
    ["--publish=80", "--publish=81"],
  ],
  [{ stop_timeout: 0 }, ["--stop-timeout=0"]],
  [{ volumes: { "/a": "/b:ro", data: "/d" } }, ["--volume=/a:/b:ro", "--volume=data:/d"]],
  [{ tmpfs: { "/t": "", "/u": "size=64m" } }, ["--tmpfs=/t", "--tmpfs=/u:size=64m"]],
  [{ labels: { a: "b=c", d: "" } }, ["--label=a=b=c", "--label=d="]],
  [{ ulimits: { nofile: "1024:2048" } }, ["--ulimit=nofile=1024:2048"]],
  [{ network: "none" }, ["--network=none"]],
  [{ restart: "always" }, ["--restart=always"]],
  [{ restart: "always", remove: true }, ["--rm"]],
  [{ memory: "512m", cpus: 0.5, pids: -1 }, ["--memory=512m", "--cpus=0.5", "--pids-limit=-1"]],
  [
    { user: "1000:1000", workdir: "/w", hostname: "h", platform: "linux/arm64" },
    ["--user=1000:1000", "--workdir=/w", "--hostname=h", "--platform=linux/arm64"],
  ],
  [{ init: true, read_only: true, privileged: true }, ["--init", "--read-only", "--privileged"]],
  [{ cap_add: ["A", "B"], cap_drop: ["ALL"] }, ["--cap-add=A", "--cap-add=B", "--cap-drop=ALL"]],
  [{ devices: ["/dev/fuse"] }, ["--device=/dev/fuse"]],
  [{ pid: "host", ipc: "private", uts: "host", userns: "host" }, ["--pid=host", "--ipc=private", "--uts=host", "--userns=host"]],
  [
    { healthcheck: { cmd: "true || exit 1", interval: "5s", timeout: "1s", start_period: "2s", retries: 3 } },
    ["--health-cmd=true || exit 1", "--health-interval=5s", "--health-timeout=1s", "--health-start-period=2s", "--health-retries=3"],
  ],
  [{ healthcheck: { disable: true, cmd: "x" } }, ["--no-healthcheck"]],
  [{ env: { A: "1" } }, ["--env-file=/dev/stdin"]],
  [{ env: { A: "1\n2" } }, []],
])("%j becomes %j", (fields, flags) => {
  expect(argsOf(fields)).toEqual([...BEFORE, ...flags, "--", "busybox"]);
});

test("the rest of the entrypoint and the command follow the image", () => {
  expect(argsOf({ entrypoint: ["sh", "-c"], command: ["echo hi", "--rm"] })).toEqual([
    ...BEFORE,
    "--entrypoint=sh",
    "--",
    "busybox",
    "-c",
    "echo hi",
    "--rm",
  ]);
  expect(argsOf({ entrypoint: [], command: ["x"] })).toEqual([...BEFORE, "--entrypoint=", "--", "busybox", "x"]);
});

const hostile = fc.oneof(
  fc.constantFrom("--privileged", "-v", "--", "-", "=", "--volume=/:/host", "a=b", " --rm", "", "/dev/stdin", "\n--privileged"),
  fc.string({ unit: "binary" }),
);
const map = fc.dictionary(hostile, hostile, { maxKeys: 3 });
const maybe = fc.option(hostile, { nil: undefined });
const list = fc.array(hostile, { maxLength: 3 });
const check = fc.record({ cmd: maybe, interval: maybe, timeout: maybe, start_period: maybe, disable: fc.constant(undefined) });
const specs: fc.Arbitrary<RunSpec> = fc.record({
  name: hostile,
  image: hostile,
  command: fc.option(list, { nil: undefined }),
  entrypoint: fc.option(list, { nil: undefined }),
  remove: fc.boolean(),
  env: map,
  labels: map,
  ports: fc.array(fc.tuple(hostile, hostile), { maxLength: 3 }),
  volumes: map,
  tmpfs: map,
  network: maybe,
  restart: maybe,
  memory: maybe,
  cpus: fc.option(fc.double(), { nil: undefined }),
  pids: fc.option(fc.integer(), { nil: undefined }),
  user: maybe,
  workdir: maybe,
  hostname: maybe,
  platform: maybe,
  pull: fc.constant("missing" as const),
  init: fc.boolean(),
  stop_timeout: fc.option(fc.integer(), { nil: undefined }),
  read_only: fc.boolean(),
  cap_add: list,
  cap_drop: list,
  ulimits: map,
  healthcheck: fc.option(check, { nil: undefined }),
  privileged: fc.constant(false),
  devices: list,
  pid: maybe,
  ipc: maybe,
  uts: maybe,
  userns: maybe,
});

/** Every flag that an unprivileged container can have. */
const VALUED =
  /^--(?:name|pull|env-file|publish|volume|tmpfs|label|ulimit|network|restart|memory|cpus|pids-limit|user|workdir|hostname|platform|cap-add|cap-drop|health-(?:cmd|interval|timeout|start-period|retries)|device|stop-timeout|pid|ipc|uts|userns|entrypoint)=/;
const BARE = new Set(["--rm", "--init", "--read-only"]);

test("every value follows the = of its flag, or --", () => {
  fc.assert(
    fc.property(specs, (spec) => {
      const args = createArgs(spec);
      const end = args.indexOf("--");
      expect(args[0]).toBe("create");
      for (const arg of args.slice(1, end)) expect(BARE.has(arg) || VALUED.test(arg)).toBe(true);
      expect(args.slice(end + 1)).toEqual([spec.image, ...(spec.entrypoint?.slice(1) ?? []), ...(spec.command ?? [])]);
      expect(args.includes("--privileged") && args.indexOf("--privileged") < end).toBe(false);
      expect(args.filter((arg) => arg.startsWith("--name="))[0]).toBe(`--name=${spec.name}`);
    }),
    { numRuns: 500 },
  );
});

test("no value of the environment is in the arguments", () => {
  const env = fc.dictionary(
    fc.stringMatching(/^[A-Za-z_]\w*$/),
    fc.string({ unit: "binary" }).map((text) => `s3cret${text}`),
    { minKeys: 1 },
  );
  fc.assert(fc.property(env, (values) => expect(argsOf({ env: values }).join("\0")).not.toContain("s3cret")));
});

/** Reads an env file as docker does: lines split at the first =. */
function readByDocker(lines: string): Record<string, string> {
  const rows = lines.split(/\r?\n/).slice(0, -1);
  return Object.fromEntries(rows.map((row) => [row.slice(0, row.indexOf("=")), row.slice(row.indexOf("=") + 1)]));
}

test("every variable is unchanged in the env file or in the rest", () => {
  const value = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("a\nB=2", "a\r", "\r\n", "=", " x ", "#", "'", "x".repeat(70_000)));
  fc.assert(
    fc.property(fc.dictionary(fc.stringMatching(/^[A-Za-z_]\w*$/), value), (env) => {
      const { lines, rest } = envFile(env);
      expect({ ...readByDocker(lines), ...rest }).toEqual({ ...env });
      for (const line of lines.split("\n")) expect(Buffer.byteLength(line)).toBeLessThan(65_536);
    }),
  );
});
