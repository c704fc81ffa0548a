import fc from "fast-check";
import { parse } from "qs";
import { z } from "zod";
import { readInput } from "../../../lib/http/input";
import { containerRunBody } from "../../../lib/routes/schemas/container-run";
import { imagePullBody } from "../../../lib/routes/schemas/image-schemas";
import { createBody } from "../../../lib/routes/schemas/managed-bodies";
import { oneOffRunBody } from "../../../lib/routes/schemas/one-off-run";
import { rootRunBody } from "../../../lib/routes/schemas/root-run";
import { environment, ports, volumes } from "../../../lib/routes/schemas/run-fields";

const fields = z.object({ env: environment.optional(), ports: ports.optional(), volumes: volumes.optional() }).strict();
const read = (body: object) => readInput(fields, body);
const readForm = (form: string) => read(parse(form, { parseArrays: false, plainObjects: true }));

describe("short forms", () => {
  test.each<[string, object]>([
    ["env=A=b", { env: { A: "b" } }],
    ["env[]=A=b=c&env[]=D=", { env: { A: "b=c", D: "" } }],
    ["env[0]=A=b&env[1]=C=d", { env: { A: "b", C: "d" } }],
    ["env[A]=x=y", { env: { A: "x=y" } }],
    ["ports=8080:80/udp", { ports: [["8080", "80/udp"]] }],
    [
      "ports[]=80&ports[]=443",
      {
        ports: [
          ["", "80"],
          ["", "443"],
        ],
      },
    ],
    [
      "ports[0]=8080:80&ports[1]=127.0.0.1::81",
      {
        ports: [
          ["8080", "80"],
          ["127.0.0.1:", "81"],
        ],
      },
    ],
    [
      "ports[0]=80&ports[1]=81",
      {
        ports: [
          ["0", "80"],
          ["1", "81"],
        ],
      },
    ],
    ["ports[127.0.0.1:1234]=6379", { ports: [["127.0.0.1:1234", "6379"]] }],
    ["volumes=/a:/b:ro", { volumes: { "/a": "/b:ro" } }],
    ["volumes[0]=/a:/b&volumes[1]=data:/d", { volumes: { "/a": "/b", data: "/d" } }],
    ["volumes[/a]=/b:ro", { volumes: { "/a": "/b:ro" } }],
    ["volumes[10]=/b:ro", { volumes: { "10": "/b:ro" } }],
  ])("the form %s is read", (form, expected) => {
    expect(readForm(form)).toEqual(expected);
  });

  test.each<[object, object]>([
    [{ ports: ["[::1]:8080:80/sctp"] }, { ports: [["[::1]:8080", "80/sctp"]] }],
    [{ ports: ["8000-8001:80-81"] }, { ports: [["8000-8001", "80-81"]] }],
    [
      { ports: [{ host: 53, container: 53, protocol: "udp" }, { container: 80 }] },
      {
        ports: [
          ["53", "53/udp"],
          ["", "80/tcp"],
        ],
      },
    ],
    [{ ports: [80] }, { ports: [["", "80"]] }],
    [{ ports: {} }, { ports: [] }],
    [
      { ports: [], env: [], volumes: [] },
      { ports: [], env: {}, volumes: {} },
    ],
    [{ volumes: ["C:\\host\\data:/data:ro"] }, { volumes: { "/c/host/data": "/data:ro" } }],
  ])("the JSON %j is read", (body, expected) => {
    expect(read(body)).toEqual(expected);
  });

  test.each<[object, string]>([
    [{ env: ["A"] }, "env.0 must be NAME=value"],
    [{ env: ["A=b", "A=c"] }, "env.1 has a name that is there already"],
    [{ env: ["1=b"] }, "env.1 must be the name of a variable"],
    [{ env: 5 }, 'env must be a map, such as {"NAME": "value"}, or a list, such as ["NAME=value"]'],
    [{ env: [{ A: "b" }] }, "env.0 must be NAME=value"],
    [{ ports: ["8080:80:x"] }, 'ports.0 must be [[address:]host port:]container port[/protocol], such as "8080:80"'],
    [{ ports: [{ host: 80 }] }, 'ports.0 must be [[address:]host port:]container port[/protocol], such as "8080:80"'],
    [
      { ports: [{ host: "1.2.3.4:80", container: 80, privileged: true }] },
      'ports.0 must be [[address:]host port:]container port[/protocol], such as "8080:80"',
    ],
    [{ ports: { "8080": "x" } }, "ports.8080 must be a container port, such as 6379 or 53/udp"],
    [{ volumes: ["/a"] }, "volumes.0 must be source:target, which :ro may follow"],
    [
      { volumes: ["/a:b"] },
      'volumes./a is source: target, and the target "b" must be an absolute path in the container, which :ro may follow',
    ],
    [
      { volumes: { "/app": "webdata" } },
      'volumes./app is source: target, and the target "webdata" must be an absolute path in the container, which :ro may follow',
    ],
    [{ volumes: { data: 5 } }, "volumes.data is source: target, and the target 5 must be an absolute path in the container"],
    [{ volumes: ["/a:/b", "/a:/c"] }, "volumes.1 has a source that is there already"],
  ])("the JSON %j is refused with the right form", (body, message) => {
    expect(() => read(body)).toThrow(message);
  });

  test("variables, ports and mounts mean the same as a map and as a list", () => {
    const variable = fc.tuple(
      fc.stringMatching(/^[A-Z]{1,8}$/),
      fc.string().map((value) => value.replaceAll("\0", "")),
    );
    const port = fc.tuple(fc.integer({ min: 1, max: 65_535 }), fc.integer({ min: 1, max: 65_535 }));
    const mount = fc.tuple(fc.stringMatching(/^\/[a-z]{1,8}$/), fc.stringMatching(/^\/[a-z]{1,8}(:ro)?$/));
    fc.assert(
      fc.property(
        fc.dictionary(
          variable.map(([name]) => name),
          variable.map(([, value]) => value),
        ),
        fc.array(port),
        fc.array(mount),
        (env, pairs, mounts) => {
          const maps = { env, ports: Object.fromEntries(pairs), volumes: Object.fromEntries(mounts) };
          const lists = {
            env: Object.entries(maps.env).map((pair) => pair.join("=")),
            ports: Object.entries(maps.ports).map((pair) => pair.join(":")),
            volumes: Object.entries(maps.volumes).map((pair) => pair.join(":")),
          };
          expect(read(lists)).toEqual(read(maps));
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe("every route that runs a container", () => {
  const bodies = { rootRunBody, containerRunBody, oneOffRunBody, createBody };
  const mounts = ["data:/d:ro", "/srv:/s"];

  test.each(Object.entries(bodies))("takes command and env under both names, and short forms: %s", (_name, body) => {
    const image = { image: "a", ...("container_port" in body.shape ? { container_port: 80 } : {}) };
    const expected = { command: ["echo", "x"], env: { A: "b" } };
    expect(readInput(body, { ...image, command: "echo x", env: ["A=b"] })).toMatchObject(expected);
    expect(readInput(body, { ...image, data: "echo x", env_vars: { A: "b" } })).toMatchObject(expected);
  });

  test("takes mounts as a list and as a map", () => {
    const asMap = { data: "/d:ro", "/srv": "/s" };
    for (const volumes of [mounts, asMap]) {
      expect(readInput(rootRunBody, { image: "a", volumes }).volumes).toEqual(asMap);
      expect(readInput(containerRunBody, { image: "a", container_port: 80, volumes }).volumes).toEqual(asMap);
    }
    expect(readInput(oneOffRunBody, { image: "a", volumes: mounts }).volumes).toEqual({
      "/d:ro": { type: "volume", name: "data", response: false },
      "/s": { type: "host", host_path: "/srv", response: false },
    });
  });

  test("takes ports of a managed container in the same forms", () => {
    const expected = [
      { host: 8080, container: 80, protocol: "tcp" },
      { host: 53, container: 53, protocol: "udp" },
    ];
    for (const given of [expected, ["8080:80", "53:53/udp"], { "8080": "80", "53": "53/udp" }]) {
      const { ports: published = [] } = readInput(createBody, { image: "a", ports: given });
      expect([...published].sort((a, b) => b.container - a.container)).toEqual(expected);
    }
    for (const given of ["127.0.0.1:80:80", "8000-8001:80-81", "80:80/sctp"])
      expect(() => readInput(createBody, { image: "a", ports: [given] })).toThrow(expect.objectContaining({ clientCode: "INVALID_PORTS" }));
  });
});

test.each([
  [64_000_000, 64_000_000],
  ["64000000", 64_000_000],
  ["64m", 2 ** 26],
  ["1.5g", 1.5 * 2 ** 30],
])("memory %j of a one-off run is %i bytes", (memory, bytes) => {
  expect(readInput(oneOffRunBody, { image: "a", memory })).toMatchObject({ memory: bytes });
});

test.each([["5m"], [1000], ["2000000g"], ["many"]])("memory %j of a one-off run is refused", (memory) => {
  expect(() => readInput(oneOffRunBody, { image: "a", memory })).toThrow(expect.objectContaining({ clientCode: "INVALID_MEMORY" }));
});

describe.each([
  ["PUT /", rootRunBody],
  ["POST /run", oneOffRunBody],
  ["POST /images/pull", imagePullBody],
])("the platform of %s", (_, body) => {
  const withPlatform = (platform: string) => readInput(body, { image: "busybox", command: ["true"], platform });

  test.each(["linux/arm64", "linux/arm/v7", "arm64", "linux", "linux/x86_64", "Linux/AMD64"])("may be %s", (platform) => {
    expect(withPlatform(platform)).toMatchObject({ platform });
  });

  test.each(["", "linux/", "a/b/c/d", "nosuch!", "--help", "linux/ arm64"])("is refused by its name if it is %j", (platform) => {
    expect(() => withPlatform(platform)).toThrow(
      expect.objectContaining({ clientCode: "INVALID_PLATFORM", message: expect.stringContaining("such as linux/arm64") }),
    );
  });
});
