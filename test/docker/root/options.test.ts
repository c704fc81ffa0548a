import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type OneNode, startNode } from "../../support/single-node";

let node: OneNode;
let folder: string;
beforeAll(async () => {
  node = await startNode({ name: "options", args: ["--allow=privileged,devices,host_namespaces,capabilities"] });
  folder = mkdtempSync(path.join(node.engine.folder, "mounted-"));
  writeFileSync(path.join(folder, "file"), "from the host");
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await node?.stop();
});

let count = 0;
/** Runs a detached container; returns the output of docker inspect. */
async function inspected(fields: Record<string, unknown>) {
  count += 1;
  const name = `option-${count}`;
  const { status, text } = await node.request("PUT", "/", {
    json: { image: "busybox", name, detach: true, data: "sleep 1000", ...fields },
  });
  if (status !== 200) throw new Error(text);
  return node.inspect(name);
}

test("ports are published on all addresses, on one, or on a free port", async () => {
  const { HostConfig, NetworkSettings } = await inspected({
    ports: { "8001": 80, "127.0.0.1:8002": "81", "8003": "82/udp", "127.0.0.1:": 83, "8010-8011": "90-91" },
  });
  expect(HostConfig.PortBindings).toMatchObject({
    "80/tcp": [{ HostIp: "", HostPort: "8001" }],
    "81/tcp": [{ HostIp: "127.0.0.1", HostPort: "8002" }],
    "82/udp": [{ HostPort: "8003" }],
    "90/tcp": [{ HostPort: "8010" }],
    "91/tcp": [{ HostPort: "8011" }],
  });
  expect(Number(NetworkSettings.Ports["83/tcp"][0].HostPort)).toBeGreaterThan(0);
});

test("host port 0 is a free port", async () => {
  const { NetworkSettings } = await inspected({ ports: { 0: 80 } });
  expect(Number(NetworkSettings.Ports["80/tcp"][0].HostPort)).toBeGreaterThan(0);
});

test("folders and volumes are mounted, with ro as read-only", async () => {
  const { Mounts } = await inspected({ volumes: { [folder]: "/data:ro", keep: "/keep" } });
  expect(Mounts).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ Type: "bind", Source: folder, Destination: "/data", RW: false }),
      expect.objectContaining({ Type: "volume", Name: "keep", Destination: "/keep", RW: true }),
    ]),
  );
  const read = await node.request("PUT", "/", {
    json: { image: "busybox", volumes: { [folder]: "/d:ro" }, data: "sh -c 'cat /d/file; touch /d/x'" },
  });
  expect(read.json).toMatchObject({ stdout: "from the host", stderr: expect.stringContaining("Read-only file system") });
});

test("labels, host name, user and working directory apply", async () => {
  const { Config } = await inspected({
    labels: { a: "b=c", n: 5, "with.dots": "" },
    hostname: "my-host",
    user: "nobody:nogroup",
    workdir: "/tmp",
  });
  expect(Config).toMatchObject({
    Labels: { a: "b=c", n: "5", "with.dots": "" },
    Hostname: "my-host",
    User: "nobody:nogroup",
    WorkingDir: "/tmp",
  });
});

test("memory, cpus, pids and ulimits apply", async () => {
  const { HostConfig } = await inspected({ memory: "64m", cpus: 0.5, pids: 33, ulimits: { nofile: "100:200", nproc: 50 } });
  expect(HostConfig).toMatchObject({ Memory: 64 * 1024 * 1024, NanoCpus: 500_000_000, PidsLimit: 33 });
  expect(HostConfig.Ulimits).toEqual(
    expect.arrayContaining([
      { Name: "nofile", Soft: 100, Hard: 200 },
      { Name: "nproc", Soft: 50, Hard: 50 },
    ]),
  );
});

test("memory is accepted in bytes as number or text", async () => {
  expect((await inspected({ memory: 33554432 })).HostConfig.Memory).toBe(33554432);
  expect((await inspected({ memory: "33554432" })).HostConfig.Memory).toBe(33554432);
});

test("init, read-only root, tmpfs and capabilities apply", async () => {
  const { HostConfig } = await inspected({
    read_only: true,
    tmpfs: { "/scratch": "size=1m,mode=1777", "/plain": "" },
    cap_add: ["NET_BIND_SERVICE"],
    cap_drop: ["ALL"],
  });
  expect(HostConfig).toMatchObject({
    ReadonlyRootfs: true,
    Tmpfs: { "/scratch": "size=1m,mode=1777", "/plain": "" },
    CapDrop: ["ALL"],
  });
  expect(HostConfig.CapAdd[0]).toMatch(/^(CAP_)?NET_BIND_SERVICE$/);
});

test("init enables docker's init process", async () => {
  const answer = await node.request("PUT", "/", { json: { image: "busybox", name: "with-init", init: true, data: "cat /proc/1/comm" } });
  // An engine without docker-init on its host refuses; then no container remains and the answer has the reason.
  if (answer.status === 200) expect((await node.inspect("with-init")).HostConfig.Init).toBe(true);
  else expect(answer.json).toMatchObject({ status: 400, message: expect.stringContaining("docker-init") });
});

test("a restart policy applies with its maximum of retries", async () => {
  expect((await inspected({ restart: "on-failure:3" })).HostConfig.RestartPolicy).toEqual({ Name: "on-failure", MaximumRetryCount: 3 });
  expect((await inspected({ restart: "unless-stopped" })).HostConfig.RestartPolicy.Name).toBe("unless-stopped");
});

test("the network can be a name, none, or another container's", async () => {
  await node.docker("network", "create", "own-net");
  expect(Object.keys((await inspected({ network: "own-net" })).NetworkSettings.Networks)).toEqual(["own-net"]);
  expect((await inspected({ network: "none" })).HostConfig.NetworkMode).toBe("none");
  const { Id, Name } = await inspected({});
  expect((await inspected({ network: `container:${Name.slice(1)}` })).HostConfig.NetworkMode).toBe(`container:${Id}`);
});

test("a health check can be set or disabled", async () => {
  const own = { cmd: "echo 'it is' \"well\" $HOME", interval: "1m30s", timeout: "2s", start_period: "3s", retries: 4 };
  expect((await inspected({ healthcheck: own })).Config.Healthcheck).toEqual({
    Test: ["CMD-SHELL", own.cmd],
    Interval: 90e9,
    Timeout: 2e9,
    StartPeriod: 3e9,
    Retries: 4,
  });
  expect((await inspected({ healthcheck: { disable: true } })).Config.Healthcheck).toEqual({ Test: ["NONE"] });
});

test("a platform and a pull policy apply", async () => {
  const { arch } = process;
  const platform = `linux/${arch === "x64" ? "amd64" : arch}`;
  expect((await inspected({ platform, pull: "never" })).Platform).toBe("linux");
});

test.each([
  ["privileged", { privileged: true }, { Privileged: true }],
  ["devices", { devices: ["/dev/null"] }, { Devices: [expect.objectContaining({ PathOnHost: "/dev/null" })] }],
  ["capabilities", { cap_add: ["NET_ADMIN"] }, { CapAdd: [expect.stringMatching(/NET_ADMIN$/)] }],
  [
    "host_namespaces",
    { network: "host", pid: "host", ipc: "host", uts: "host" },
    { NetworkMode: "host", PidMode: "host", IpcMode: "host", UTSMode: "host" },
  ],
])("%s is accepted if the policy allows it", async (name, fields, expected) => {
  const answer = await node.request("PUT", "/", { json: { image: "busybox", name, detach: true, data: "sleep 1000", ...fields } });
  // On a machine whose own root is restricted, the kernel refuses what the policy allows.
  if (answer.status === 200) expect((await node.inspect(name)).HostConfig).toMatchObject(expected);
  else expect(answer.json).toMatchObject({ status: 400, message: expect.stringContaining("operation not permitted") });
});

test("a list field accepts a single text", async () => {
  expect((await inspected({ cap_drop: "CHOWN" })).HostConfig.CapDrop[0]).toMatch(/CHOWN$/);
});
