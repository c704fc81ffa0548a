import { gzipSync } from "node:zlib";
import { until } from "../../../scripts/process";
import { type Entries, tarGz, tarOf } from "../../support/archives";
import { importRunner } from "../../support/images";
import { code, comesBackTo, everythingOn, oneOff, rawCode } from "../../support/runs";
import type { Answer } from "../../support/server";
import { type OneNode, startNode } from "../../support/single-node";

const WAIT_MS = 120_000;

let node: OneNode;
let before: string[];
beforeAll(async () => {
  const limits = ["--run_max_time=10", "--run_max_output=1000000", "--run_memory=60000000", "--run_tmpfs=2000000", "--run_pids=80"];
  // With a warm pool, as in production.
  node = await startNode({ name: "runs-hostile", args: [...limits, "--run_pool_memory=60000000", "--run_wait=60"] });
  await importRunner(node.engine);
  before = await everythingOn(node);
});
afterAll(async () => {
  await node?.server.stop();
  expect(await comesBackTo(node, before)).toBe(true);
  await node?.stop();
});

const isWarmOnly = async () => (await everythingOn(node)).filter((each) => !before.includes(each)).length <= 1;

/**
 * Repeats a hostile request while other requests must succeed. Afterwards only a warm sandbox may be left.
 * @param atLeast number of repetitions
 * @returns the responses of the hostile requests
 */
async function whileOthersAreServed(attack: (turn: number) => Promise<Answer>, atLeast = 1): Promise<Answer[]> {
  const answers: Answer[] = [];
  let served = false;
  const attacking = (async () => {
    while (!served || answers.length < atLeast) answers.push(await attack(answers.length));
  })();
  expect((await node.request("GET", "/")).status).toBe(200);
  expect(await code(node, "echo served")).toMatchObject({ status: 200, json: { stdout: "served" } });
  expect((await oneOff(node, { command: "echo served" })).json).toMatchObject({ status: "success", stdout: "served\n" });
  served = true;
  await attacking;
  expect((await node.request("GET", "/health")).status).toBe(200);
  expect(await until(isWarmOnly, WAIT_MS)).toBe(true);
  return answers;
}

const HOSTILE: [string, string, string][] = [
  ["a fork bomb", "bomb() { bomb | bomb & }; bomb 2>/dev/null & while true; do :; done", "limits.execution_time"],
  ["10 GB of output", "head -c 10000000000 /dev/zero", "limits.read.size"],
  ["10 GB of errors", "head -c 10000000000 /dev/zero >&2", "limits.read.size"],
  ["an endless loop", "trap '' TERM INT HUP; while true; do :; done", "limits.execution_time"],
  ["a memory hog", "x=aaaaaaaaaaaaaaaa; while true; do x=$x$x; done", "limits.memory"],
];

test.each(HOSTILE)("%s as code ends at its limit without affecting others", async (_what, script, limit) => {
  for (const { status, json } of await whileOthersAreServed(() => rawCode(node, script))) {
    expect([status, json.error, json.code]).toEqual([400, "validation_error", limit]);
  }
});

test.each(HOSTILE)("%s as a one-off ends at its limit without affecting others", async (_what, script, limit) => {
  for (const { status, json } of await whileOthersAreServed(() => oneOff(node, { command: ["sh", "-c", script] }))) {
    expect([status, json.status]).toEqual([200, `error: ${limit}`]);
  }
});

test("code that fills the disk finds only the configured space", async () => {
  const script = `
    for place in / /etc /var /home /root /usr /dev /run /sys /proc /mnt /opt /tmp /dev/shm /dev/mqueue; do
      cat /dev/zero 2>/dev/null | head -c 30000000 2>/dev/null >$place/fill && written="$written $place"
      size=$(stat -c %s $place/fill) && [ "$size" -gt 2100000 ] && large="$large $place=$size"
      rm -f $place/fill
    done 2>/dev/null
    echo "{\\"large\\":\\"$large\\"}"`;
  for (const { json } of await whileOthersAreServed(() => rawCode(node, script))) expect(json).toEqual({ large: "" });
});

test("code that searches for a network finds none", async () => {
  const { address, port } = { address: "127.0.0.1", port: node.server.port };
  const script = `
    found=$(ls /sys/class/net | grep -v '^lo$'; cat /proc/net/route | tail -n +2; ls /var/run/docker.sock /run/docker.sock)
    for peer in "${address} ${port}" "${node.engine.address} 2375" "172.17.0.1 53" "169.254.169.254 80"; do
      nc -w 2 $peer </dev/null >/dev/null 2>&1 && found="$found $peer"
    done
    wget -q -T 2 -O - http://example.com/ >/dev/null 2>&1 && found="$found dns"
    echo "{\\"found\\":\\"$found\\"}" 2>/dev/null`;
  for (const { json } of await whileOthersAreServed(() => rawCode(node, `{ ${script}\n} 2>/dev/null`))) expect(json).toEqual({ found: "" });
});

test("code can't escape or gain privileges", async () => {
  const tries: Record<string, string> = {
    "mount a tmpfs": "mount -t tmpfs none /tmp",
    "mount /proc": "mkdir -p /tmp/p && mount -t proc none /tmp/p",
    "bind the root": "mkdir -p /tmp/r && mount --bind / /tmp/r",
    "make the root writable": "mount -o remount,rw /",
    "mount the host's disk": "mkdir -p /tmp/d && mount /dev/sda1 /tmp/d",
    "unmount /proc": "umount /proc",
    "write to /proc/sys": "echo 1 > /proc/sys/kernel/core_pattern",
    "say what the kernel runs": "echo /tmp/x > /proc/sys/kernel/modprobe",
    "press sysrq": "echo b > /proc/sysrq-trigger",
    "be spared by the kernel": "echo -1000 > /proc/self/oom_score_adj",
    "write to a cgroup": "mkdir /sys/fs/cgroup/x || mkdir /sys/fs/cgroup/memory/x",
    "release agents": "echo /tmp/x > /sys/fs/cgroup/memory/release_agent",
    "change the root": "chroot / true",
    "make a device": "mknod /tmp/sda b 8 0",
    "read the memory": "head -c 1 /dev/mem || head -c 1 /proc/kcore",
    "become root": "su root -c true || setuidgid root true",
    "become root by setuid": "cp /bin/sh /tmp/sh; chmod 4755 /tmp/sh; [ $(/tmp/sh -c 'id -u') != $(id -u) ]",
    "give a file away": "touch /tmp/f && chown 0:0 /tmp/f",
    "a namespace of its own": "unshare -r true || unshare -m true || unshare -U true",
    "enter another's": "nsenter -t 1 -m true && nsenter --net=/proc/1/ns/net true",
    "set the host's name": "hostname other",
    "set the clock": "date -s 2001-01-01; [ $(date +%Y) = 2001 ]",
    "see other processes": "ps -o comm | grep -E 'dockerd|containerd'",
    "find the engine": "ls /var/run/docker.sock || ls /run/docker.sock",
    "read the kernel's log": "dmesg",
    "load a module": "insmod /tmp/x.ko || modprobe dummy",
    "read shadow": "cat /etc/shadow",
    "hurry before others": "nice -n -10 true && [ $(nice -n -10 nice) -lt 0 ]",
  };
  const lines = Object.entries(tries).map(([what, line]) => `( ${line} ) >/dev/null 2>&1 && done="$done ${what};"`);
  const script = `${lines.join("\n")}\necho "{\\"done\\":\\"$done\\"}"`;
  for (const { json } of await whileOthersAreServed(() => rawCode(node, script))) expect(json).toEqual({ done: "" });
});

const many = () => tarOf(Array.from({ length: 50_001 }, (_, index) => ({ name: `f${index}` })));
const big = () => tarOf([{ name: "bomb", text: "\0".repeat(200_000_000) }]);
const ARCHIVES: [string, () => Promise<Buffer>, RegExp][] = [
  ["entries above it", () => tarGz({ fine: "", "a/../../../escaped": "x" }), /leads out/],
  ["an absolute path", () => tarGz({ "/etc/cron.d/escaped": "x" }), /absolute/],
  ["a link to a folder above", () => tarGz({ up: { type: "symlink", linkname: "../../.." } } as Entries), /leads out/],
  ["a hard link to a file of the host", () => tarGz({ shadow: { type: "link", linkname: "/etc/shadow" } } as Entries), /hard link/],
  ["a file behind a link", () => tarGz({ l: { type: "symlink", linkname: "." }, "l/f": "x" } as Entries), /behind a link/],
  ["200 MB in 200 kB", async () => gzipSync(await big()), /unpacks to more/],
  ["50,001 entries", async () => gzipSync(await many()), /more than 50000 entries/],
  ["an end that is missing", async () => gzipSync(await big()).subarray(0, 5000), /can't be read to its end/],
];

test("hostile archives are refused with the reason, without affecting others", async () => {
  const contents = await Promise.all(ARCHIVES.map(async ([, make]) => (await make()).toString("base64")));
  const attack = (turn: number) =>
    oneOff(node, { command: "true", volumes: { "/d": { type: "directory", content: contents[turn % contents.length] } } });
  const answers = await whileOthersAreServed(attack, contents.length);
  for (const [turn, { json }] of answers.entries()) {
    const [what, , reason] = ARCHIVES[turn % contents.length] as (typeof ARCHIVES)[number];
    expect([what, json]).toMatchObject([what, { status: 400, code: "INVALID_VOLUMES", details: { field: "volumes./d.content" } }]);
    expect([what, json.message]).toEqual([what, expect.stringMatching(reason)]);
  }
});

test("broken base64 is refused without affecting others", async () => {
  const contents = ["aGk*", "aGk", "a===", "\u0000", "aGk=aGk="];
  const attack = (turn: number) =>
    oneOff(node, { command: "true", volumes: { "/f": { type: "file", content: contents[turn % contents.length] } } });
  for (const { json } of await whileOthersAreServed(attack, contents.length)) {
    expect(json).toMatchObject({ status: 400, details: { field: "volumes./f.content" } });
  }
});
