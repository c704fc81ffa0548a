import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import fc from "fast-check";
import { checkBind, checkPolicy, ENGINE_SOCKETS, lookUp, type Policy } from "../../../../lib/docker/create/policy";
import type { RunSpec } from "../../../../lib/docker/create/run-spec";

const PLAIN = { volumes: {}, cap_add: [], devices: [], privileged: false } as unknown as RunSpec;
const STRICT: Policy = { allow: [], bindRoots: [], sockets: [...ENGINE_SOCKETS, "/srv/engine/own.sock"] };

const check = (fields: Partial<RunSpec>, policy: Partial<Policy> = {}) => checkPolicy({ ...PLAIN, ...fields }, { ...STRICT, ...policy });
const mount = (source: string, policy: Partial<Policy> = {}) => checkBind(source, { ...STRICT, ...policy }, "volumes");
const refusal = (details: object) =>
  expect.objectContaining({ code: "NOT_ALLOWED", status: 403, details: expect.objectContaining(details) });

let folder: string;
beforeAll(() => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "docker-server-policy-")));
  mkdirSync(path.join(folder, "out/in"), { recursive: true });
  mkdirSync(path.join(folder, "out2"));
  mkdirSync(path.join(folder, "engine"));
  writeFileSync(path.join(folder, "engine/docker.sock"), "");
  symlinkSync("/var/run", path.join(folder, "to-run"));
  symlinkSync("/", path.join(folder, "out/to-root"));
  symlinkSync("../out2", path.join(folder, "out/to-out2"));
  symlinkSync("/proc/self/root", path.join(folder, "to-proc-root"));
  symlinkSync("engine", path.join(folder, "to-engine"));
  symlinkSync("out", path.join(folder, "to-out"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const REFUSED: [Partial<RunSpec>, string, string][] = [
  [{ privileged: true }, "privileged", "privileged"],
  [{ devices: ["/dev/fuse"] }, "devices", "devices"],
  ...(["network", "pid", "ipc", "uts", "userns"] as const).map((field): [Partial<RunSpec>, string, string] => [
    { [field]: "host" },
    field,
    "host_namespaces",
  ]),
  ...["ALL", "all", "SYS_ADMIN", "CAP_SYS_ADMIN", "cap_sys_ptrace", "Sys_Module", "NET_ADMIN", "DAC_READ_SEARCH", "BPF"].map(
    (name): [Partial<RunSpec>, string, string] => [{ cap_add: ["CHOWN", name] }, "cap_add", "capabilities"],
  ),
  [{ volumes: { data: "/d", "/var/run/docker.sock": "/s" } }, "volumes", "docker_socket"],
];

test.each(REFUSED)("%j is refused with the field %s unless %s is allowed", (fields, field, allow) => {
  expect(() => check(fields)).toThrow(refusal({ field, allow }));
  const others = ["privileged", "host_namespaces", "devices", "capabilities", "docker_socket"].filter((each) => each !== allow);
  expect(() => check(fields, { allow: others })).toThrow(refusal({ field, allow }));
  expect(() => check(fields, { allow: [allow] })).not.toThrow();
});

test.each<Partial<RunSpec>>([
  {},
  { network: "none", pid: "private", ipc: "shareable", userns: "private" },
  { network: "container:web" },
  { cap_add: ["CHOWN", "NET_BIND_SERVICE", "cap_net_raw"] },
  { volumes: { data: "/var/run", "/srv/data": "/var/run/docker.sock", "/etc/hosts": "/h:ro" } },
])("%j is accepted", (fields) => {
  expect(() => check(fields)).not.toThrow();
});

test.each([
  "/",
  "//",
  "/.",
  "/..",
  "/var",
  "/var/run",
  "/run",
  "/run/",
  "//var///run/",
  "/var/run/docker.sock",
  "/run/docker.sock",
  "/var/run/../run/docker.sock",
  "/var/./run/./docker.sock/",
  "/tmp/../var/run",
  "/nowhere/../../run/docker.sock",
  "/run/containerd",
  "/run/containerd/containerd.sock",
  "/var/run/containerd/containerd.sock",
  "/run/podman",
  "/srv",
  "/srv/engine",
  "/srv/engine/own.sock",
  "/proc",
  "/proc/1/root",
  "/proc/self/root/run/docker.sock",
  "//proc//1/cwd",
])("%s leads to a socket and is refused unless docker_socket is allowed", (source) => {
  expect(() => mount(source)).toThrow(refusal({ field: "volumes", allow: "docker_socket" }));
  expect(() => mount(source, { allow: ["docker_socket"] })).not.toThrow();
});

test.each([
  "/var/run2",
  "/runner",
  "/var/runs/x",
  "/run/docker.sock2",
  "/run/docker",
  "/srv/engine2",
  "/srv/engine/own.sock.d",
  "/process",
  "/var/lib/x",
  "/...",
])("%s resembles a socket's path and is accepted", (source) => {
  expect(() => mount(source)).not.toThrow();
});

test("a path that leads to a socket through symbolic links is refused", () => {
  const own = { sockets: [path.join(folder, "engine/docker.sock")] };
  for (const name of ["to-run", "to-run/docker.sock", "out/to-root", "out/to-root/run", "out/to-root/proc/1", "to-proc-root"]) {
    expect(() => mount(path.join(folder, name))).toThrow(refusal({ allow: "docker_socket" }));
  }
  for (const name of ["", "engine", "to-engine", "to-engine/docker.sock", "out/../engine", "out/to-out2/../../engine"]) {
    expect(() => mount(`${folder}/${name}`, own)).toThrow(refusal({ allow: "docker_socket" }));
  }
  expect(() => mount(path.join(folder, "out2"), own)).not.toThrow();
});

test("a socket configured through a symbolic link is protected at its real path too", () => {
  const own = { sockets: [path.join(folder, "to-engine/docker.sock")] };
  expect(() => mount(path.join(folder, "engine"), own)).toThrow(refusal({ allow: "docker_socket" }));
  expect(() => mount(path.join(folder, "to-engine"), own)).toThrow(refusal({ allow: "docker_socket" }));
});

test("every spelling of a folder at or above a socket is refused", () => {
  const places = ENGINE_SOCKETS.flatMap((socket) => {
    const parts = socket.split("/").slice(1);
    return parts.map((_, index) => parts.slice(0, index + 1));
  });
  const noise = fc.constantFrom("/", "//", "///", "/./", "/x/../", "/a/b/../../", "/../../");
  const ending = fc.constantFrom("", "/", "//", "/.", "/./", "/x/..");
  fc.assert(
    fc.property(fc.constantFrom(...places), fc.array(noise, { minLength: 5, maxLength: 5 }), ending, (parts, seams, end) => {
      // A ".." is allowed only at the front, where it has no effect.
      const spelled = parts.map((part, index) => (index > 0 && seams[index] === "/../../" ? "/" : seams[index]) + part).join("") + end;
      expect(() => mount(spelled)).toThrow(refusal({ allow: "docker_socket" }));
    }),
    { numRuns: 300 },
  );
});

test("bind_roots allows only paths inside them, also through symbolic links", () => {
  const out = path.join(folder, "out");
  const inRoots = (source: string, roots = [out]) => mount(source, { bindRoots: roots, sockets: [] });
  for (const source of [out, `${out}/`, `${out}/in`, `${out}/not/there/yet`, `${out}//in/../in`])
    expect(() => inRoots(source)).not.toThrow();
  for (const source of [
    folder,
    `${folder}/out2`,
    `${out}2`,
    `${out}2/x`,
    `${out}/../out2`,
    `${out}/to-out2`,
    `${out}/to-root/etc`,
    "/",
    "/etc",
  ]) {
    expect(() => inRoots(source)).toThrow(refusal({ field: "volumes", bind_roots: [out] }));
  }
  // Also for a root with a trailing slash, a symbolic link, several roots, and the root folder.
  expect(() => inRoots(`${out}/in`, [`${out}/`])).not.toThrow();
  expect(() => inRoots(`${out}2`, [`${out}/`])).toThrow(refusal({ field: "volumes" }));
  expect(() => inRoots(path.join(folder, "to-out/in"), [path.join(folder, "to-out")])).not.toThrow();
  expect(() => inRoots(`${out}/in`, ["/nowhere", out])).not.toThrow();
  expect(() => inRoots("/etc/hosts", ["/"])).not.toThrow();
});

test("bind_roots does not allow sockets, and docker_socket does not allow paths outside bind_roots", () => {
  expect(() => mount("/var/run/docker.sock", { bindRoots: ["/var/run"] })).toThrow(refusal({ allow: "docker_socket" }));
  expect(() => mount("/var/run/docker.sock", { bindRoots: ["/var/run"], allow: ["docker_socket"] })).not.toThrow();
  expect(() => mount("/var/run/docker.sock", { bindRoots: ["/srv"], allow: ["docker_socket"] })).toThrow(refusal({ bind_roots: ["/srv"] }));
});

describe("where a path leads", () => {
  let root: string;
  const at = (name: string) => path.join(root, name);
  beforeAll(() => {
    root = realpathSync(mkdtempSync(path.join(tmpdir(), "docker-server-links-")));
    mkdirSync(at("a/b"), { recursive: true });
    symlinkSync("../c", at("a/up"));
    symlinkSync(at("a/b"), at("absolute"));
    symlinkSync("absolute/./x", at("chain"));
    symlinkSync("circle", at("circle"));
  });
  afterAll(() => rmSync(root, { recursive: true }));

  test.each([
    ["a folder", "a/b", "a/b", ["a"]],
    ["what isn't there", "a/none/deep", "a/none/deep", ["a", "a/none"]],
    ["a relative link", "a/up/x", "c/x", ["a", "c"]],
    ["an absolute link", "absolute/x", "a/b/x", ["a", "a/b"]],
    ["a link to a link", "chain/y", "a/b/x/y", ["a", "a/b", "a/b/x"]],
  ])("%s is told with every folder in which a part is looked up", (_what, name, target, folders) => {
    const found = lookUp(at(name));
    expect(found.target).toBe(at(target));
    expect(found.folders).toEqual(expect.arrayContaining([root, ...folders.map(at)]));
    expect(found.folders.filter((each) => each.startsWith(`${root}/`))).toHaveLength(folders.length);
  });

  test("a link in a circle ends", () => {
    expect(lookUp(at("circle/x")).folders).toContain(root);
  });
});
