import { readFileSync } from "node:fs";
import fc from "fast-check";
import { Access } from "../../../../lib/access/access";
import { PolicyGuard } from "../../../../lib/docker/create/policy-guard";
import { parseCreateBody } from "../../../../lib/docker-api/bodies/create-body";
import { HOST_CONFIG } from "../../../../lib/docker-api/bodies/host-config";
import { judgeCreate } from "../../../../lib/docker-api/bodies/judge-create";

const parse = (json: string, allow: string[] = []) =>
  parseCreateBody(Buffer.from(json), { policy: { allow, bindRoots: [], sockets: [] }, access: Access.full });
const create = (field: string, value: unknown, allow?: string[]) =>
  parse(JSON.stringify({ Image: "busybox", HostConfig: { [field]: value } }), allow);
const status = (code: number) => expect.objectContaining({ status: code });
const forbidden = (field: string, allow?: string) =>
  expect.objectContaining({
    code: "NOT_ALLOWED",
    status: 403,
    details: expect.objectContaining({ field: expect.stringContaining(`HostConfig.${field}`), ...(allow && { allow }) }),
  });

/** Refused whatever the server allows. */
const NEVER = "never";
/** A 400: no engine can mean anything harmless by it. */
const INVALID = "invalid";

interface Row {
  /** values that pass, and are sent on as they are */
  passes: unknown[];
  /** values that are refused, each with the name of `--allow` that opens it */
  refused?: [value: unknown, by: string][];
}

const number: Row = {
  passes: [0, -1, 1024],
  refused: [
    ["1", INVALID],
    [1.5, INVALID],
    [true, INVALID],
  ],
};
const flag: Row = {
  passes: [true, false],
  refused: [
    ["true", INVALID],
    [1, INVALID],
  ],
};
const texts: Row = {
  passes: [[], ["a"]],
  refused: [
    ["a", INVALID],
    [[1], INVALID],
    [{}, INVALID],
  ],
};
const throttle: Row = { passes: [[], [{ Path: "/dev/sda", Rate: 1 }]], refused: [[[{ Path: "/dev/sda", rate: 1 }], INVALID]] };
const hostMode = "host_namespaces";

/** Every field of HostConfig in the API 1.51 (its documentation, "ContainerCreate"), and of earlier versions from 1.24 on. */
const ROWS: Record<string, Row> = {
  Binds: {
    passes: [[], ["data:/data"], ["/srv/x:/x:ro,z"], ["/anonymous"], ["d:/d:rw,nocopy"]],
    refused: [
      [["a:b:c:d"], INVALID],
      [["data:/d:exec,dev"], INVALID],
      [["/x:/y:upperdir=/z"], INVALID],
      [["../x:/y"], INVALID],
      [[":/y"], INVALID],
      [["docker-server-job-1:/y"], NEVER],
    ],
  },
  LogConfig: {
    passes: [
      { Type: "", Config: {} },
      { Type: "json-file", Config: { "max-size": "10m" } },
      { Type: "local" },
      { Type: "none", Config: null },
    ],
    refused: [
      [{ Type: "syslog", Config: {} }, NEVER],
      [{ Type: "fluentd" }, NEVER],
      [{ Type: "k8s-file", Config: { path: "/etc/cron.d/x" } }, NEVER],
      [{ Type: "json-file", Config: { "syslog-address": "unix:///run/docker.sock" } }, NEVER],
      [{ type: "syslog" }, INVALID],
    ],
  },
  NetworkMode: {
    passes: ["", "default", "bridge", "none", "my_net-1.x", "container:web"],
    refused: [
      ["host", hostMode],
      ["ns:/proc/1/ns/net", INVALID],
      ["container:a b", INVALID],
      ["slirp4netns:allow_host_loopback=true", INVALID],
      ["a/b", INVALID],
    ],
  },
  PortBindings: {
    passes: [{}, { "80/tcp": [{ HostIp: "", HostPort: "8080" }] }, { "80/tcp": null }],
    refused: [
      [{ "80/tcp": [{ HostPort: 80 }] }, INVALID],
      [{ "80/tcp": [{ hostport: "80" }] }, INVALID],
    ],
  },
  RestartPolicy: {
    passes: [{ Name: "", MaximumRetryCount: 0 }, { Name: "no" }, { Name: "on-failure", MaximumRetryCount: 3 }, { Name: "always" }],
    refused: [[{ Name: "sometimes" }, INVALID]],
  },
  AutoRemove: flag,
  VolumeDriver: { passes: ["", "local", "nfs"] },
  VolumesFrom: {
    passes: [[], ["web"], ["web:ro"], ["web:rw,z"]],
    refused: [
      [["a b"], INVALID],
      [["/x:/y"], INVALID],
      ["web", INVALID],
    ],
  },
  ConsoleSize: {
    passes: [
      [0, 0],
      [24, 80],
    ],
    refused: [["24", INVALID]],
  },
  Annotations: {
    passes: [{}],
    refused: [
      [{ "run.oci.hooks.stdout": "/etc/x" }, "privileged"],
      [{ a: 1 }, INVALID],
    ],
  },
  CapAdd: {
    passes: [[], ["CHOWN"], ["cap_net_raw"]],
    refused: [
      [["ALL"], "capabilities"],
      ["ALL", "capabilities"],
      [["chown", "cap_sys_admin"], "capabilities"],
      [["NET_ADMIN"], "capabilities"],
      [[" SYS_ADMIN"], INVALID],
      [["\u017fYS_ADMIN"], INVALID],
    ],
  },
  CapDrop: { passes: [[], ["ALL"]], refused: [[[1], INVALID]] },
  CgroupnsMode: {
    passes: ["", "private"],
    refused: [
      ["host", hostMode],
      ["HOST", INVALID],
    ],
  },
  Dns: texts,
  DnsOptions: texts,
  DnsSearch: texts,
  ExtraHosts: texts,
  GroupAdd: texts,
  IpcMode: {
    passes: ["", "none", "private", "shareable", "container:web"],
    refused: [
      ["host", hostMode],
      ["ns:/proc/1/ns/ipc", INVALID],
    ],
  },
  Cgroup: { passes: [""], refused: [["container:web", hostMode]] },
  Links: { passes: [[], ["db:db"], ["/db:/web/db"], ["db"]], refused: [[["a b:c"], INVALID]] },
  OomScoreAdj: {
    passes: [0, 500],
    refused: [
      [-1000, "privileged"],
      ["0", INVALID],
    ],
  },
  PidMode: {
    passes: ["", "container:web"],
    refused: [
      ["host", hostMode],
      ["ns:/proc/1/ns/pid", INVALID],
      ["container:", INVALID],
    ],
  },
  Privileged: {
    passes: [false],
    refused: [
      [true, "privileged"],
      ["true", INVALID],
      [1, INVALID],
    ],
  },
  PublishAllPorts: flag,
  ReadonlyRootfs: flag,
  SecurityOpt: {
    passes: [[], ["no-new-privileges"], ["no-new-privileges:true"], ["apparmor=docker-default"]],
    refused: [
      [["seccomp=unconfined"], "privileged"],
      [["no-new-privileges", "apparmor=unconfined"], "privileged"],
      [["label=disable"], "privileged"],
      [["systempaths=unconfined"], "privileged"],
      [["writable-cgroups=true"], "privileged"],
    ],
  },
  StorageOpt: { passes: [{}, { size: "1G" }], refused: [[{ "dm.basesize": "1G" }, "privileged"]] },
  Tmpfs: {
    passes: [{}, { "/run": "" }, { "/run": "rw,noexec,nosuid,size=65536k,mode=1777" }],
    refused: [
      [{ "/run": "bind" }, INVALID],
      [{ "/run": "rw,remount" }, INVALID],
      [{ "/a:/b": "" }, INVALID],
    ],
  },
  UTSMode: {
    passes: [""],
    refused: [
      ["host", hostMode],
      ["container:web", INVALID],
      ["ns:/proc/1/ns/uts", INVALID],
    ],
  },
  UsernsMode: {
    passes: [""],
    refused: [
      ["host", hostMode],
      ["keep-id", INVALID],
      ["ns:/proc/1/ns/user", INVALID],
    ],
  },
  ShmSize: number,
  Sysctls: {
    passes: [{}, { "net.core.somaxconn": "1024", "kernel.msgmax": "65536", "fs.mqueue.msg_max": "1" }],
    refused: [
      [{ "kernel.core_pattern": "|/x" }, "privileged"],
      [{ "vm.overcommit_memory": "1" }, "privileged"],
    ],
  },
  Runtime: {
    passes: ["", "runc"],
    refused: [
      ["nvidia", "privileged"],
      ["/tmp/runtime", "privileged"],
    ],
  },
  Isolation: { passes: ["", "default"], refused: [[1, INVALID]] },
  CpuShares: number,
  Memory: number,
  NanoCpus: number,
  CgroupParent: {
    passes: [""],
    refused: [
      ["/", hostMode],
      ["../x", hostMode],
      ["system.slice", hostMode],
    ],
  },
  BlkioWeight: number,
  BlkioWeightDevice: { passes: [[], [{ Path: "/dev/sda", Weight: 10 }]], refused: [[{}, INVALID]] },
  BlkioDeviceReadBps: throttle,
  BlkioDeviceWriteBps: throttle,
  BlkioDeviceReadIOps: throttle,
  BlkioDeviceWriteIOps: throttle,
  CpuPeriod: number,
  CpuQuota: number,
  CpuRealtimePeriod: number,
  CpuRealtimeRuntime: number,
  CPURealtimePeriod: number,
  CPURealtimeRuntime: number,
  CpusetCpus: { passes: ["", "0-1"], refused: [[1, INVALID]] },
  CpusetMems: { passes: ["", "0"], refused: [[1, INVALID]] },
  Devices: {
    passes: [[]],
    refused: [
      [[{ PathOnHost: "/dev/sda", PathInContainer: "/dev/x", CgroupPermissions: "rwm" }], "devices"],
      [[{}], "devices"],
    ],
  },
  DeviceCgroupRules: { passes: [[]], refused: [[["b *:* rwm"], "devices"]] },
  DeviceRequests: {
    passes: [[]],
    refused: [[[{ Driver: "nvidia", Count: -1, DeviceIDs: null, Capabilities: [["gpu"]], Options: {} }], "devices"]],
  },
  DiskQuota: number,
  KernelMemory: number,
  KernelMemoryTCP: number,
  MemoryReservation: number,
  MemorySwap: number,
  MemorySwappiness: number,
  OomKillDisable: flag,
  PidsLimit: number,
  Ulimits: { passes: [[], [{ Name: "nofile", Soft: 1, Hard: 2 }]], refused: [[[{ name: "nofile" }], INVALID]] },
  CpuCount: number,
  CpuPercent: number,
  IOMaximumIOps: number,
  IOMaximumBandwidth: number,
  Mounts: {
    passes: [
      [],
      [{ Type: "bind", Source: "/srv/x", Target: "/x", ReadOnly: true, BindOptions: { Propagation: "rprivate", CreateMountpoint: true } }],
      [
        {
          Type: "volume",
          Source: "data",
          Target: "/d",
          VolumeOptions: { NoCopy: true, Subpath: "x", DriverConfig: { Name: "", Options: {} } },
        },
      ],
      [{ Type: "volume", Target: "/d" }],
      [{ Type: "tmpfs", Target: "/t", TmpfsOptions: { SizeBytes: 1, Mode: 448, Options: [["noexec"], ["uid", "1000"]] } }],
      [{ Type: "image", Source: "busybox", Target: "/i", ImageOptions: { Subpath: "bin" } }],
    ],
    refused: [
      [[{ Type: "cluster", Source: "x", Target: "/d" }], INVALID],
      [[{ Type: "npipe", Source: "x", Target: "/d" }], INVALID],
      [[{ Type: "Bind", Source: "/", Target: "/d" }], INVALID],
      [[{ Source: "/", Target: "/d" }], INVALID],
      [[{ Type: "bind", Source: "x", Target: "/d" }], INVALID],
      [[{ Type: "bind", Source: "/x", source: "/", Target: "/d" }], INVALID],
      [[{ Type: "volume", Source: "/", Target: "/d" }], INVALID],
      [[{ Type: "volume", Source: "docker-server-job-1", Target: "/d" }], NEVER],
      [[{ Type: "volume", Source: "x", Target: "/d", VolumeOptions: { DriverConfig: { Options: { DEVICE: "/" } } } }], INVALID],
      [[{ Type: "volume", Source: "x", Target: "/d", VolumeOptions: { Labels: { "docker-server.x": "1" } } }], INVALID],
      [[{ Type: "tmpfs", Source: "/", Target: "/t" }], INVALID],
      [[{ Type: "tmpfs", Target: "/t", TmpfsOptions: { Options: [["bind"]] } }], INVALID],
    ],
  },
  MaskedPaths: {
    passes: [
      [
        ..."/proc/asound /proc/acpi /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/timer_stats".split(" "),
        ..."/proc/sched_debug /proc/scsi /sys/firmware /sys/devices/virtual/powercap".split(" "),
      ],
    ],
    refused: [
      [[], "privileged"],
      [["/proc/kcore"], "privileged"],
    ],
  },
  ReadonlyPaths: {
    passes: ["/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger".split(" ")],
    refused: [
      [[], "privileged"],
      [["/proc/sys"], "privileged"],
    ],
  },
  Init: flag,
};

test("the table has every field that is known, and those of @types/dockerode", () => {
  const types = readFileSync(require.resolve("@types/dockerode/index.d.ts"), "utf8");
  const [, body = ""] = /interface HostConfig \{([\s\S]*?)\n {4}\}/.exec(types) ?? [];
  const typed = [...body.matchAll(/^ {8}(\w+)\??:/gm)].map(([, name]) => name as string);
  expect(typed.length).toBeGreaterThan(50);
  expect(Object.keys({ ...ROWS, ContainerIDFile: {} }).sort()).toEqual(Object.keys(HOST_CONFIG).sort());
  expect(Object.keys(HOST_CONFIG)).toEqual(expect.arrayContaining(typed));
});

const cases = Object.entries(ROWS);

test.each(cases)("%s: harmless values and null are sent on as they are", (field, { passes }) => {
  for (const value of [...passes, null]) expect(create(field, value).HostConfig).toEqual({ [field]: value });
});

test.each(cases)("%s: other values are refused, unless --allow opens them", (field, { refused = [] }) => {
  for (const [value, by] of refused) {
    if (by === INVALID) expect(() => create(field, value, ALL)).toThrow(status(400));
    else if (by === NEVER) expect(() => create(field, value, ALL)).toThrow(forbidden(field));
    else {
      expect(() => create(field, value)).toThrow(forbidden(field, by));
      expect(() =>
        create(
          field,
          value,
          ALL.filter((each) => each !== by),
        ),
      ).toThrow(forbidden(field, by));
      expect(() => create(field, value, [by])).not.toThrow();
    }
  }
});

test("docs/docker-api.md names for each --allow the fields that it opens, and no others", () => {
  const [, section = ""] = readFileSync("docs/docker-api.md", "utf8").split(/^## What `--allow` opens$|^## Narrow tokens$/m);
  const written = [...section.matchAll(/^\| `(\w+)` \| (.*?) \|/gm)].map(([, name, cell = ""]) => {
    const fields = [...cell.matchAll(/`(\w+)`/g)].map(([, field = ""]) => field).filter((field) => field in HOST_CONFIG);
    return [name, fields.sort()];
  });
  const opened = (name: string) => cases.filter(([, { refused = [] }]) => refused.some(([, by]) => by === name)).map(([field]) => field);
  // These are judged on the node that creates.
  const judgedThere = (name: string) => (name === "docker_socket" ? ["Binds", "Mounts"] : []);
  expect(Object.fromEntries(written)).toEqual(
    Object.fromEntries(ALL.map((name) => [name, [...opened(name), ...judgedThere(name)].sort()])),
  );
});

const ALL = ["privileged", "devices", "host_namespaces", "capabilities", "docker_socket"];

/** Spellings that Go's decoder takes for the field. */
function otherSpellings(field: string): string[] {
  const folded = field.replaceAll(/[kK]/g, "\u212a").replaceAll(/[sS]/g, "\u017f");
  const spellings = [field.toLowerCase(), field.toUpperCase(), field.charAt(0).toLowerCase() + field.slice(1), folded];
  return [...new Set(spellings)].filter((each) => each !== field);
}

test.each([...cases, ["ContainerIDFile", { passes: [""] }] as [string, Row]])(
  "%s: another spelling is refused, alone, beside the canonical one, and so is the same twice",
  (field, { passes, refused = [] }) => {
    const values = [...passes, ...refused.map(([value]) => value), null].map((value) => JSON.stringify(value));
    const body = (...members: string[]) => `{"Image":"busybox","HostConfig":{${members.join(",")}}}`;
    for (const value of values) {
      for (const name of otherSpellings(field)) {
        expect(() => parse(body(`${JSON.stringify(name)}:${value}`), ALL)).toThrow(status(400));
        expect(() => parse(body(`"${field}":null`, `${JSON.stringify(name)}:${value}`), ALL)).toThrow(status(400));
      }
      expect(() => parse(body(`"${field}":${values[0]}`, `"${field}":${value}`), ALL)).toThrow(status(400));
      const escaped = `\\u${field.charCodeAt(0).toString(16).padStart(4, "0")}${field.slice(1)}`;
      expect(() => parse(body(`"${field}":${values[0]}`, `"${escaped}":${value}`), ALL)).toThrow(status(400));
    }
  },
);

test.each(cases)(
  "%s: beside HostConfig, where engines before 23 read it, it is refused or not sent on",
  (field, { passes, refused = [] }) => {
    for (const value of [...passes, ...refused.map(([each]) => each)]) {
      let sent: object = {};
      try {
        sent = parse(JSON.stringify({ Image: "busybox", [field]: value }), ALL);
      } catch (error) {
        expect(error).toEqual(status(400));
      }
      expect(sent).not.toHaveProperty(field);
    }
  },
);

test("the name of a file of the host is never sent on", () => {
  expect(create("ContainerIDFile", "/etc/cron.d/x").HostConfig).toEqual({});
});

test.each(["hostConfig", "HOSTCONFIG", "Ho\u017ftConfig"])("HostConfig in the spelling %s is refused", (name) => {
  expect(() => parse(JSON.stringify({ Image: "busybox", [name]: {} }))).toThrow(status(400));
  expect(() => parse(JSON.stringify({ Image: "busybox", HostConfig: {}, [name]: { Privileged: true } }))).toThrow(status(400));
});

/** A random text that Go's decoder takes for the field: each letter in either case, or the character that folds to it, or escaped. */
const spellingOf = (field: string) =>
  fc.tuple(...[...field].map((letter) => fc.constantFrom(...lettersLike(letter)))).map((letters) => `"${letters.join("")}"`);
const lettersLike = (letter: string) => [
  letter,
  letter,
  letter,
  letter.toLowerCase(),
  letter.toUpperCase(),
  ...(/k/i.test(letter) ? ["\u212a"] : []),
  ...(/s/i.test(letter) ? ["\u017f"] : []),
  `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`,
];

/** As Go decodes: the last member whose key is equal without regard to case counts. */
function goDecode(json: string, field: string): unknown {
  const fold = (key: string) => key.toUpperCase().toLowerCase();
  const members = Object.entries(JSON.parse(json) as object).filter(([key]) => fold(key) === fold(field));
  return members.at(-1)?.[1];
}

test("no spelling, order or repetition of a forbidden field gets past", () => {
  const forbiddenMembers = cases.flatMap(([field, { refused = [] }]) => refused.map(([value]) => ({ field, value })));
  const member = fc.constantFrom(...forbiddenMembers).chain(({ field, value }) => {
    return spellingOf(field).map((name) => ({ field, text: `${name}:${JSON.stringify(value)}` }));
  });
  const harmlessMember = fc.constantFrom(...cases).chain(([field, { passes }]) => {
    return fc
      .tuple(spellingOf(field), fc.constantFrom(...passes))
      .map(([name, value]) => ({ field, text: `${name}:${JSON.stringify(value)}` }));
  });
  const members = fc.tuple(member, fc.array(harmlessMember, { maxLength: 3 }), fc.nat(3)).map(([hostile, others, index]) => {
    const list = others.map(({ text }) => text);
    list.splice(index, 0, hostile.text);
    return { hostile, text: `{${list.join(",")}}` };
  });
  fc.assert(
    fc.property(members, spellingOf("HostConfig"), ({ hostile, text }, hostConfig) => {
      let sent: string | undefined;
      try {
        sent = JSON.stringify(parse(`{"Image":"busybox",${hostConfig}:${text}}`));
      } catch (error) {
        expect([400, 403]).toContain((error as { status: number }).status);
        return;
      }
      const decoded = JSON.stringify(goDecode(sent, "HostConfig") ?? {});
      expect([undefined, ...(ROWS[hostile.field]?.passes ?? [])]).toContainEqual(goDecode(decoded, hostile.field));
    }),
    { numRuns: 300 },
  );
});

describe("on the node that creates", () => {
  const engine = {
    assertAlive: async () => {},
    call: async () => ({ DockerRootDir: "/var/lib/docker" }),
    listVolumes: async () => [{ Name: "root", Driver: "local", Options: { type: "none", o: "bind", device: "/" } }],
  };
  const guard = new PolicyGuard(engine as never, { allow: [], bindRoots: [], sockets: ["/run/docker.sock"] });
  const judge = (field: string, value: unknown) => judgeCreate(create(field, value), guard, Access.full);

  test.each([
    ["Binds", ["/run/docker.sock:/s"]],
    ["Binds", ["/:/host:ro"]],
    ["Binds", ["/srv/../run:/host"]],
    ["Binds", ["/var/lib/docker/volumes:/v"]],
    ["Binds", ["root:/host"]],
    ["Mounts", [{ Type: "bind", Source: "/run", Target: "/r" }]],
    ["Mounts", [{ Type: "bind", Source: "/proc/1/root", Target: "/r" }]],
    ["Mounts", [{ Type: "volume", Source: "root", Target: "/r" }]],
    ["Mounts", [{ Type: "volume", Target: "/r", VolumeOptions: { DriverConfig: { Options: { type: "none", o: "bind", device: "/" } } } }]],
    [
      "Mounts",
      [
        {
          Type: "volume",
          Source: "new",
          Target: "/r",
          VolumeOptions: { DriverConfig: { Name: "local", Options: { type: "ext4", device: "/dev/sda" } } },
        },
      ],
    ],
    [
      "Mounts",
      [{ Type: "volume", Source: "new", Target: "/r", VolumeOptions: { DriverConfig: { Name: "plugin", Options: { path: "/" } } } }],
    ],
  ])("%s %j is refused", async (field, value) => {
    await expect(judge(field, value)).rejects.toThrow(status(403));
  });

  test.each([
    ["Binds", ["/srv/data:/d", "data:/e"]],
    [
      "Mounts",
      [
        { Type: "volume", Source: "data", Target: "/d" },
        { Type: "tmpfs", Target: "/t" },
      ],
    ],
    [
      "Mounts",
      [{ Type: "volume", Target: "/r", VolumeOptions: { DriverConfig: { Options: { type: "nfs", o: "addr=10.0.0.1", device: ":/x" } } } }],
    ],
  ])("%s %j is accepted", async (field, value) => {
    await expect(judge(field, value)).resolves.toBeUndefined();
  });
});
