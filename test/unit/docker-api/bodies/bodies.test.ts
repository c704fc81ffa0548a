import { Access } from "../../../../lib/access/access";
import type { BodyContext } from "../../../../lib/docker-api/bodies/body-table";
import { parseCommitBody } from "../../../../lib/docker-api/bodies/commit-body";
import { parseCreateBody } from "../../../../lib/docker-api/bodies/create-body";
import { parseExecCreateBody, parseExecStartBody } from "../../../../lib/docker-api/bodies/exec-bodies";
import { parseNetworkConnectBody, parseNetworkCreateBody } from "../../../../lib/docker-api/bodies/network-bodies";
import { parseUpdateBody } from "../../../../lib/docker-api/bodies/update-body";
import { judgeVolumeCreate, parseVolumeCreateBody } from "../../../../lib/docker-api/bodies/volume-body";
import { accessOf } from "../../../support/unit/access-parts";

type Parse = (raw: Buffer | undefined, context: BodyContext) => object;

const ALL = ["privileged", "devices", "host_namespaces", "capabilities", "docker_socket"];
const context = (allow: string[] = [], access = Access.full): BodyContext => ({ policy: { allow, bindRoots: [], sockets: [] }, access });
const read = (parse: Parse, body: unknown, allow?: string[], access?: Access) =>
  parse(Buffer.from(JSON.stringify(body)), context(allow, access));
const refusal = (details: object, status = 403) => expect.objectContaining({ status, details: expect.objectContaining(details) });
const invalid = (field: string) => refusal({ field: expect.stringContaining(field) }, 400);

const PARSERS: [string, Parse, object][] = [
  ["parseCreateBody", parseCreateBody, { Image: "busybox", Cmd: "ls", HostConfig: { CapAdd: "CHOWN", Binds: null } }],
  ["parseExecCreateBody", parseExecCreateBody, { Cmd: ["ls"], detachKeys: "ctrl-x", hijack: true }],
  ["parseExecStartBody", parseExecStartBody, { Detach: false, hijack: true, stdin: true }],
  ["parseUpdateBody", parseUpdateBody, { Memory: 1, RestartPolicy: { Name: "no" } }],
  ["parseNetworkCreateBody", parseNetworkCreateBody, { Name: "n", Labels: null, CheckDuplicate: false }],
  ["parseNetworkConnectBody", parseNetworkConnectBody, { Container: "web", EndpointConfig: { Aliases: ["a"], NetworkID: "x" } }],
  ["parseVolumeCreateBody", parseVolumeCreateBody, { Name: "v", DriverOpts: null }],
  ["parseCommitBody", parseCommitBody, { Labels: { a: "b" }, Env: ["A=b"] }],
];

describe.each(PARSERS)("%s", (_name, parse, body) => {
  test("the result, read again on another node, is the same, also with a token's labels", () => {
    for (const access of [Access.full, accessOf({ labels: { team: "a" } })]) {
      const once = read(parse, body, [], access);
      expect(read(parse, once, [], access)).toEqual(once);
    }
  });

  test("a field that isn't known is refused by name", () => {
    expect(() => read(parse, { ...body, Unknown: null }, ALL)).toThrow(invalid("Unknown"));
  });

  test.each(["[]", '"x"', "1", '{"a":1', "\ufeff{}"])("%j is refused", (text) => {
    expect(() => parse(Buffer.from(text), context())).toThrow(expect.objectContaining({ status: 400 }));
  });

  test("members of JavaScript's objects are no fields", () => {
    for (const name of ["__proto__", "constructor", "toString"]) {
      expect(() => parse(Buffer.from(`{"${name}":{"Privileged":true}}`), context())).toThrow(expect.objectContaining({ status: 400 }));
    }
  });
});

test("all bodies but that of a commit are required", () => {
  for (const [name, parse] of PARSERS) {
    for (const raw of [undefined, Buffer.alloc(0), Buffer.from("null")]) {
      if (name === "parseCommitBody") expect(parse(raw, context())).toEqual({});
      else expect(() => parse(raw, context())).toThrow(expect.objectContaining({ status: 400 }));
    }
  }
});

describe("create", () => {
  const create = (body: object, allow?: string[], access?: Access) =>
    read(parseCreateBody, { Image: "busybox", ...body }, allow, access) as ReturnType<typeof parseCreateBody>;

  test("an image is required", () => {
    expect(() => read(parseCreateBody, { Cmd: ["ls"] })).toThrow(invalid("Image"));
  });

  test("a command in one text becomes a list, as the engine reads it", () => {
    expect(create({ Cmd: "ls", Entrypoint: "sh", Shell: ["a"] })).toMatchObject({ Cmd: ["ls"], Entrypoint: ["sh"], Shell: ["a"] });
  });

  test("volumes of the container can't be mounts of the host", () => {
    expect(create({ Volumes: { "/data": {}, "/x": null } }).Volumes).toEqual({ "/data": {}, "/x": null });
    for (const path of ["/:/host", "/run/docker.sock:/s:ro", ""])
      expect(() => create({ Volumes: { [path]: {} } }, ALL)).toThrow(invalid("Volumes"));
  });

  test("endpoints are checked, and what only an engine fills in is not sent on", () => {
    const endpoints = (value: unknown, allow?: string[]) =>
      create({ NetworkingConfig: { EndpointsConfig: value } }, allow).NetworkingConfig;
    const kept = { Aliases: ["a"], IPAMConfig: { IPv4Address: "10.1.0.2" }, MacAddress: "02:42:ac:11:00:02", DriverOpts: null };
    expect(endpoints({ n: { ...kept, NetworkID: "host", IPAddress: "10.1.0.2", EndpointID: "" }, m: null })).toEqual({
      EndpointsConfig: { n: kept, m: null },
    });
    expect(() => endpoints({ host: {} })).toThrow(refusal({ field: "NetworkingConfig.EndpointsConfig.host", allow: "host_namespaces" }));
    expect(() => endpoints({ n: { DriverOpts: { parent: "eth0" } } })).toThrow(refusal({ allow: "host_namespaces" }));
    expect(() => endpoints({ n: { networkid: "x" } })).toThrow(invalid("networkid"));
  });

  test("the name of a network that docker-py sends beside the endpoints is not sent on", () => {
    const networking = (value: unknown) => create({ NetworkingConfig: value }).NetworkingConfig;
    expect(networking({ bridge: null })).toEqual({});
    expect(networking({ bridge: null, EndpointsConfig: { n: null } })).toEqual({ EndpointsConfig: { n: null } });
    expect(networking({ EndpointsConfig: null })).toEqual({ EndpointsConfig: null });
    for (const value of [{ bridge: {} }, { endpointsconfig: null }, { endpointsConfig: { host: {} } }, { "Endpoint\u017fConfig": null }])
      expect(() => networking(value)).toThrow(invalid("NetworkingConfig"));
  });

  test("labels of this server are refused, and empty ones are left out", () => {
    expect(() => create({ Labels: { "docker-server.managed": "1" } }, ALL)).toThrow(invalid("docker-server.managed"));
    expect(create({ Labels: { "docker-server.managed": "", a: "1", A: "2", "com.docker.compose.project": "p" } }).Labels).toEqual({
      a: "1",
      A: "2",
      "com.docker.compose.project": "p",
    });
  });

  describe("with a narrow token", () => {
    const confined = accessOf({ labels: { team: "a" } });

    test("its labels come last, on volumes too, and those of Compose are refused", () => {
      const Mounts = [
        { Type: "volume", Source: "v", Target: "/v", VolumeOptions: { Labels: { team: "b", x: "y" } } },
        { Type: "volume", Target: "/w" },
      ];
      const made = create({ Labels: { team: "b", x: "y" }, HostConfig: { Mounts } }, [], confined);
      expect(made.Labels).toEqual({ team: "a", x: "y" });
      expect(made.HostConfig.Mounts?.map((mount) => mount.VolumeOptions?.Labels)).toEqual([{ team: "a", x: "y" }, { team: "a" }]);
      expect(() => create({ Labels: { "com.docker.compose.project": "p" } }, [], confined)).toThrow(refusal({ caveat: "labels" }));
    });

    test("nothing that --allow opens is permitted without the caveat host", () => {
      for (const [HostConfig, name] of [
        [{ Privileged: true }, "privileged"],
        [{ PidMode: "host" }, "host_namespaces"],
        [{ CapAdd: ["SYS_ADMIN"] }, "capabilities"],
        [{ Devices: [{ PathOnHost: "/dev/fuse" }] }, "devices"],
      ] as const) {
        expect(() => create({ HostConfig }, ALL, accessOf({}))).toThrow(refusal({ caveat: "host" }));
        expect(() => create({ HostConfig }, ALL, accessOf({ host: [name] }))).not.toThrow();
        expect(() => create({ HostConfig }, [], accessOf({ host: [name] }))).toThrow(refusal({ allow: name }));
      }
    });

    test("drivers and options of volumes are refused without the caveat host", () => {
      const driver = { Mounts: [{ Type: "volume", Target: "/v", VolumeOptions: { DriverConfig: { Options: { type: "tmpfs" } } } }] };
      for (const HostConfig of [{ VolumeDriver: "nfs" }, driver]) {
        expect(() => create({ HostConfig }, [], accessOf({}))).toThrow(refusal({ caveat: "host" }));
        expect(() => create({ HostConfig }, [], accessOf({ host: ["driver_opts"] }))).not.toThrow();
      }
    });

    test("only its images are run and mounted", () => {
      const access = accessOf({ images: ["busybox"] });
      expect(() => create({}, [], access)).not.toThrow();
      for (const Image of ["redis", "sha256:0123", "busybox@x", "-x"]) expect(() => create({ Image }, [], access)).toThrow();
      expect(() => create({ HostConfig: { Mounts: [{ Type: "image", Source: "redis", Target: "/i" }] } }, [], access)).toThrow(
        refusal({ caveat: "images" }),
      );
    });
  });
});

test("a privileged exec needs --allow, in any spelling", () => {
  expect(() => read(parseExecCreateBody, { Privileged: true })).toThrow(refusal({ field: "Privileged", allow: "privileged" }));
  expect(() => read(parseExecCreateBody, { privileged: true }, ALL)).toThrow(invalid("privileged"));
  expect(() => parseExecCreateBody(Buffer.from('{"Privileged":false,"Privileged":true}'), context(ALL))).toThrow(invalid("Privileged"));
  expect(read(parseExecCreateBody, { Privileged: true }, ["privileged"])).toEqual({ Privileged: true });
});

test("what clients put beside the fields of an exec is not sent on", () => {
  expect(read(parseExecCreateBody, { Container: "web", Cmd: ["ls"], detachKeys: "ctrl-x", Env: null })).toEqual({
    Cmd: ["ls"],
    DetachKeys: "ctrl-x",
    Env: null,
  });
  expect(read(parseExecStartBody, { hijack: true, stdin: true, Detach: false, Tty: true })).toEqual({ Detach: false, Tty: true });
});

test("an update is judged as a create is", () => {
  expect(() => read(parseUpdateBody, { Devices: [{ PathOnHost: "/dev/sda" }] })).toThrow(refusal({ field: "Devices", allow: "devices" }));
  expect(() => read(parseUpdateBody, { CgroupParent: "/" })).toThrow(refusal({ field: "CgroupParent", allow: "host_namespaces" }));
  expect(() => read(parseUpdateBody, { Privileged: true }, ALL)).toThrow(invalid("Privileged"));
});

describe("networks", () => {
  const network = (body: object, allow?: string[]) => read(parseNetworkCreateBody, { Name: "n", ...body }, allow);

  test("what the CLI and Compose send passes", () => {
    const body = {
      Name: "p_default",
      Driver: "bridge",
      Scope: "",
      EnableIPv6: false,
      IPAM: { Driver: "default", Options: {}, Config: [{ Subnet: "10.7.0.0/24", Gateway: "10.7.0.1", AuxiliaryAddresses: null }] },
      Internal: false,
      Attachable: false,
      Ingress: false,
      ConfigOnly: false,
      ConfigFrom: null,
      Options: { "com.docker.network.driver.mtu": "1400" },
      Labels: { a: "b" },
    };
    expect(network(body)).toEqual({ ...body, CheckDuplicate: true });
  });

  test.each<[object, string]>([
    [{ Driver: "macvlan" }, "Driver"],
    [{ Driver: "ipvlan" }, "Driver"],
    [{ Driver: "host" }, "Driver"],
    [{ Driver: "plugin:latest" }, "Driver"],
    [{ Options: { parent: "eth0" } }, "Options.parent"],
    [{ Options: { "com.docker.network.bridge.name": "docker0" } }, "Options.com.docker.network.bridge.name"],
    [{ Options: { "com.docker.network.bridge.default_bridge": "true" } }, "Options.com.docker.network.bridge.default_bridge"],
    [{ Options: { interface_name: "br0" } }, "Options.interface_name"],
    [{ Ingress: true }, "Ingress"],
    [{ ConfigOnly: true }, "ConfigOnly"],
    [{ ConfigFrom: { Network: "x" } }, "ConfigFrom"],
    [{ IPAM: { Driver: "dhcp" } }, "IPAM.Driver"],
    ...[
      "8.8.8.0/24",
      "0.0.0.0/0",
      "10.0.0.0/7",
      "192.0.0.0/8",
      "169.254.169.254/32",
      "::/0",
      "2606:4700::/32",
      "::ffff:8.8.8.8/120",
      "x",
    ].map((Subnet): [object, string] => [{ IPAM: { Config: [{ Subnet: "10.1.0.0/16" }, { Subnet }] } }, "IPAM.Config.1.Subnet"]),
  ])("%j needs --allow host_namespaces", (body, field) => {
    expect(() => network(body)).toThrow(refusal({ field, allow: "host_namespaces" }));
    expect(() => network(body, ["host_namespaces"])).not.toThrow();
  });

  test.each(["10.0.0.0/8", "10.255.1.0/30", "172.16.0.0/12", "192.168.7.0/24", "100.64.0.0/10", "fd00:1::/64", "2001:db8::/64", ""])(
    "the private subnet %j passes",
    (Subnet) => {
      expect(() => network({ IPAM: { Config: [{ Subnet }] } })).not.toThrow();
    },
  );

  test.each([{ Name: "" }, { Name: null }, { Name: "-x" }, { name: "x" }, { Labels: { "docker-server.x": "1" } }])(
    "%j is invalid",
    (body) => {
      expect(() => network(body, ALL)).toThrow(expect.objectContaining({ status: 400 }));
    },
  );
});

describe("volumes", () => {
  const volume = (body: object, allow: string[] = [], access = Access.full) => {
    const parsed = read(parseVolumeCreateBody, body, allow, access);
    judgeVolumeCreate(parsed, context(allow, access));
    return parsed;
  };

  test("plain volumes pass", () => {
    for (const body of [
      {},
      { Name: "v", Driver: "local", DriverOpts: {}, Labels: { a: "b" } },
      { DriverOpts: { type: "nfs", o: "addr=1.2.3.4", device: ":/x" } },
    ])
      expect(volume(body)).toEqual({ Labels: {}, ...body });
    expect(volume({ Name: "v", Mountpoint: "/proc" })).toEqual({ Name: "v", Labels: {} });
  });

  test("folders and devices of the host are refused, in any spelling of the options", () => {
    const bind = { type: "none", o: "bind", device: "/proc" };
    expect(() => volume({ Name: "v", DriverOpts: bind })).toThrow(refusal({ field: "DriverOpts.device", allow: "docker_socket" }));
    expect(() => volume({ Name: "v", Driver: "", DriverOpts: bind })).toThrow(refusal({ allow: "docker_socket" }));
    expect(() => volume({ DriverOpts: { type: "ext4", device: "/dev/sda" } })).toThrow(refusal({ allow: "devices" }));
    expect(() => volume({ DriverOpts: { TYPE: "none", O: "bind", DEVICE: "/" } }, ALL)).toThrow(invalid("DriverOpts"));
    expect(() => volume({ Driver: "Local", DriverOpts: { device: "/proc" } })).toThrow(refusal({ allow: "docker_socket" }));
  });

  test("names and labels of runs and of this server are refused, and a Swarm's volumes aren't known", () => {
    expect(() => volume({ Name: "docker-server-job-1" }, ALL)).toThrow(refusal({ field: "Name" }));
    expect(() => volume({ Labels: { "docker-server.expires": "1" } }, ALL)).toThrow(invalid("docker-server.expires"));
    expect(() => volume({ ClusterVolumeSpec: {} }, ALL)).toThrow(invalid("ClusterVolumeSpec"));
    expect(volume({ Labels: { team: "b" } }, [], accessOf({ labels: { team: "a" } }))).toEqual({ Labels: { team: "a" } });
  });
});

test("what dockerode sends of the query in the body of a commit is not sent on", () => {
  expect(read(parseCommitBody, { repo: "a", tag: "1", comment: "", container: "x", changes: "CMD x", Env: [] })).toEqual({ Env: [] });
});

test("the image of a commit does not carry the labels of a confined token", () => {
  const access = accessOf({ labels: { team: "a" } });
  expect(parseCommitBody(undefined, context([], access))).toEqual({ Labels: { team: "" } });
  expect(read(parseCommitBody, { Labels: { x: "y" } }, [], access)).toEqual({ Labels: { x: "y", team: "" } });
});
