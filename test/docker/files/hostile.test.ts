import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { container, download, upload } from "../../support/files";
import { type OneNode, startNode } from "../../support/single-node";
import { type ZipPart, zipOf } from "../../support/zips";

let node: OneNode;
beforeAll(async () => {
  node = await startNode({ name: "files-hostile", args: ["--upload_limit=300"] });
  await container(node, "victim", true);
});
afterAll(() => node?.stop());
afterEach(async () => {
  const changed = (await node.docker("diff", "victim")).split("\n").filter((line) => /app|evil|etc|first/.test(line));
  expect(changed).toEqual([]);
});

const good: ZipPart = { name: "first", data: "harmless" };
const zeros = (size: number) => Buffer.alloc(size);

const HOSTILE: [what: string, entry: string, parts: ZipPart[]][] = [
  ["an absolute path", "/etc/evil", [{ name: "/etc/evil", data: "x" }]],
  ["a climbing path", "../evil", [{ name: "../evil", data: "x" }]],
  ["a path that climbs in the middle", "a/../../evil", [{ name: "a/../../evil", data: "x" }]],
  ["a backslash", "..\\evil", [{ name: "..\\evil", data: "x" }]],
  ["a drive letter", "C:evil", [{ name: "C:evil", data: "x" }]],
  ["a link", "l", [{ name: "l", data: "/etc", mode: 0o120777 }]],
  ["a device", "dev", [{ name: "dev", mode: 0o060666 }]],
  ["a pipe", "fifo", [{ name: "fifo", mode: 0o010666 }]],
  ["a folder that says it is a file", "d/", [{ name: "d/", mode: 0o100644 }]],
  ["a folder with content", "d/", [{ name: "d/", mode: 0o040755, data: "x" }]],
  ["an encrypted entry", "secret", [{ name: "secret", data: "123456789012345", flags: 0x801 }]],
  ["a method that nobody asked for", "odd", [{ name: "odd", data: "x", method: 12 }]],
  [
    "one name twice",
    "evil",
    [
      { name: "evil", data: "1" },
      { name: "evil", data: "2" },
    ],
  ],
  [
    "one name written two ways",
    "evil",
    [
      { name: "evil", data: "1" },
      { name: "./evil", data: "2" },
    ],
  ],
  [
    "names that differ by case",
    "EVIL",
    [
      { name: "evil", data: "1" },
      { name: "EVIL", data: "2" },
    ],
  ],
  [
    "folders that differ by case",
    "D/b",
    [
      { name: "d/a", data: "1" },
      { name: "D/b", data: "2" },
    ],
  ],
  [
    "a file and a folder of one name",
    "evil/x",
    [
      { name: "evil", data: "1" },
      { name: "evil/x", data: "2" },
    ],
  ],
  ["a name that isn't UTF-8", "\ufffd\ufffd", [{ name: Buffer.from([0xff, 0xfe]), data: "x" }]],
  ["a NUL character", "a\0b", [{ name: "a\0b", data: "x" }]],
  ["a name that is too long", "x".repeat(100), [{ name: "x".repeat(300), data: "x" }]],
  ["an empty name", "", [{ name: "", data: "x" }]],
  ["a wrong checksum", "evil", [{ name: "evil", data: "x", crc: 1 }]],
  ["a wrong checksum of a large file", "evil", [{ name: "evil", data: zeros(200_000), crc: 1, method: 8 }]],
  ["a file that is larger than it says", "evil", [{ name: "evil", data: zeros(50_000), size: 10, method: 8 }]],
  ["a large file that is larger than it says", "evil", [{ name: "evil", data: zeros(5_000_000), size: 100_000, method: 8 }]],
  ["a file that is smaller than it says", "evil", [{ name: "evil", data: zeros(50_000), size: 60_000, method: 8 }]],
  ["bytes that can't be unpacked", "evil", [{ name: "evil", data: zeros(50_000), packedSize: 20, method: 8 }]],
  ["a bomb", "bomb", [{ name: "bomb", data: zeros(120_000_000), method: 8 }]],
  [
    "entries that share their bytes",
    "b",
    [
      { name: "a", data: "12345" },
      { name: "b", data: "12345", offset: 0 },
    ],
  ],
];

test.each(HOSTILE)("%s is refused with the entry's name, and nothing is written", async (_what, entry, parts) => {
  // Entries with an explicit offset must come first.
  const all = parts.some(({ offset }) => offset !== undefined) ? parts : [good, ...parts];
  const { status, json } = await upload(node, "victim", zipOf(all));
  expect({ status, json }).toMatchObject({ status: 400, json: { error: "validation_error", code: "INVALID_ARCHIVE", details: { entry } } });
});

test("an archive that declares a million entries is refused", async () => {
  const many = Array.from({ length: 60_000 }, (_, index) => ({ name: `f${index}` }));
  const bytes = zipOf(many);
  // The count is in a Zip64 record.
  const end64 = Buffer.alloc(56 + 20);
  end64.write("PK\x06\x06", 0, "latin1");
  end64.writeBigUInt64LE(44n, 4);
  end64.writeBigUInt64LE(1_000_000n, 24);
  end64.writeBigUInt64LE(1_000_000n, 32);
  const end = bytes.subarray(bytes.length - 22);
  end64.writeBigUInt64LE(BigInt(end.readUInt32LE(12)), 40);
  end64.writeBigUInt64LE(BigInt(end.readUInt32LE(16)), 48);
  end64.write("PK\x06\x07", 56, "latin1");
  end64.writeBigUInt64LE(BigInt(bytes.length - 22), 64);
  end64.writeUInt32LE(1, 72);
  const marked = Buffer.from(end);
  for (const [at, size] of [
    [8, 2],
    [10, 2],
    [12, 4],
    [16, 4],
  ] as const)
    marked.fill(0xff, at, at + size);
  const { status, json } = await upload(node, "victim", Buffer.concat([bytes.subarray(0, -22), end64, marked]));
  expect({ status, json }).toMatchObject({ status: 400, json: { message: expect.stringContaining("more than 100000 entries") } });
});

test("an archive truncated at any position is refused", async () => {
  const whole = zipOf([good, { name: "second", data: zeros(3000), method: 8 }, { name: "third", data: "x" }]);
  for (let length = 1; length < whole.length; length += 13) {
    expect([length, (await upload(node, "victim", whole.subarray(0, length))).status]).toEqual([length, 400]);
  }
});

test("an archive that unpacks to more than the limit is 413", async () => {
  const noise = Buffer.alloc(160_000_000);
  for (let at = 0; at < noise.length; at += 400) noise.writeUInt32LE((at * 2654435761) >>> 0, at);
  const bytes = zipOf([
    { name: "a", data: noise, method: 8 },
    { name: "b", data: noise, method: 8 },
  ]);
  expect((await upload(node, "victim", bytes)).json).toMatchObject({ status: 413, error: "too_large" });
});

test("while a container swaps a folder for links to the host's, downloads and uploads stay in the container", async () => {
  const host = mkdtempSync(path.join(tmpdir(), "docker-server-host-"));
  try {
    mkdirSync(path.join(host, "d"));
    writeFileSync(path.join(host, "d/f"), "the host's");
    const links = [host, `../../../../../../..${host}`, `/proc/1/root${host}`].map((target) => `ln -sfn ${target} l; mv -T l s`);
    const swap = `cd /app; while :; do mkdir -p s/d; echo inside > s/d/f; rm -rf s; ${links.join("; rm -f s; ")}; rm -f s; done`;
    await node.docker("run", "-d", "--name", "swapper", "busybox", "sh", "-c", swap);
    const seen = new Set<string>();
    for (let turn = 0; turn < 60; turn++) {
      const [file, folder] = await Promise.all([
        download(node, "swapper", "download", "s/d/f"),
        download(node, "swapper", "download-zip", "s"),
        upload(node, "swapper", zipOf([{ name: `s/d/up-${turn}`, data: "x" }]), { query: "?path=/app" }),
      ]);
      for (const { status, bytes } of [file, folder]) {
        expect(bytes.includes("the host's")).toBe(false);
        seen.add(`${status}`);
      }
    }
    expect([...seen].filter((status) => !["200", "403", "404", "400"].includes(status))).toEqual([]);
    expect([readdirSync(host), readdirSync(path.join(host, "d"))]).toEqual([["d"], ["f"]]);
  } finally {
    await node.docker("rm", "--force", "swapper");
    rmSync(host, { recursive: true });
  }
});
