import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { FolderStore } from "../../../../lib/cluster/membership/store/folder-store";
import { quietLog } from "../../../support/unit/quiet-log";
import { behavesAsAStore } from "./suite";

const folders: string[] = [];
const newFolder = () => {
  const folder = mkdtempSync(path.join(tmpdir(), "docker-server-store-"));
  folders.push(folder);
  return folder;
};
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

const make = (folder: string) => new FolderStore(folder, quietLog().log);

describe("a folder", () => {
  behavesAsAStore(async () => {
    const folder = newFolder();
    return {
      node: () => make(folder),
      async addUnrelatedEntries() {
        writeFileSync(path.join(folder, "notes.txt"), "somebody's");
        writeFileSync(path.join(folder, ".b.half-written.tmp"), "{");
        writeFileSync(path.join(folder, ".hidden.node.json"), "{");
        writeFileSync(path.join(folder, "huge.node.json"), "x".repeat(20_000));
        mkdirSync(path.join(folder, "folder.node.json"));
        symlinkSync("/nowhere", path.join(folder, "dangling.node.json"));
        symlinkSync("loop.node.json", path.join(folder, "loop.node.json"));
        symlinkSync("/dev/zero", path.join(folder, "endless.node.json"));
        // Opening it for reading blocks until there is a writer.
        execFileSync("mkfifo", [path.join(folder, "pipe.node.json")]);
      },
    };
  });

  test("is created if it doesn't exist, which may be a mistake in its name and is told once", async () => {
    const folder = path.join(newFolder(), "not", "yet");
    const { log, entries } = quietLog();
    const store = new FolderStore(folder, log);
    await store.publish("a", "text");
    await store.publish("a", "text");
    expect(await make(folder).read()).toEqual(new Map([["a", "text"]]));
    const message = "Store folder was not there and was made: all nodes must share it";
    expect(entries).toEqual([{ level: "warn", message, fields: { folder } }]);
  });

  test("a file that turns into a pipe and back while it is read holds no reader up", async () => {
    const folder = newFolder();
    await make(folder).publish("a", "text");
    const elsewhere = newFolder();
    const [record, pipe] = [path.join(elsewhere, "record"), path.join(elsewhere, "pipe")];
    writeFileSync(record, "swapped");
    execFileSync("mkfifo", [pipe]);
    const swap = `const fs = require("node:fs"); const [folder, ...targets] = process.argv.slice(1);
      for (;;) for (const target of targets) {
        fs.symlinkSync(target, folder + "/.next");
        fs.renameSync(folder + "/.next", folder + "/swapped.node.json");
      }`;
    const swapper = spawn(process.execPath, ["-e", swap, folder, record, pipe], { stdio: "ignore" });
    try {
      const seen = new Set<string>();
      for (let turn = 0; turn < 2000; turn++) {
        // A store that has read the file once doesn't open it again.
        const texts = await make(folder).read();
        expect(texts.get("a")).toBe("text");
        seen.add(texts.get("swapped") ?? "none");
      }
      expect(seen).toEqual(new Set(["swapped", "none"]));
    } finally {
      swapper.kill("SIGKILL");
    }
  });

  test("an unreadable file is logged once with its name, and the others are read", async () => {
    const folder = newFolder();
    const { log, entries } = quietLog();
    const store = new FolderStore(folder, log);
    await store.publish("a", "text");
    symlinkSync("loop.node.json", path.join(folder, "loop.node.json"));
    await store.read();
    expect(await store.read()).toEqual(new Map([["a", "text"]]));
    expect(entries).toEqual([
      { level: "warn", message: expect.any(String), fields: { reason: expect.stringContaining("loop.node.json") } },
    ]);
  });

  test("a failed publication leaves no temporary file", async () => {
    const folder = newFolder();
    mkdirSync(path.join(folder, "a.node.json", "full"), { recursive: true });
    await expect(make(folder).publish("a", "text")).rejects.toThrow();
    expect(readdirSync(folder)).toEqual(["a.node.json"]);
  });

  test("records are readable by this user only", async () => {
    const folder = newFolder();
    await make(folder).publish("a", "text");
    expect(execFileSync("stat", ["-c", "%a", path.join(folder, "a.node.json")], { encoding: "utf8" }).trim()).toBe("600");
  });

  test("a read-only folder refuses publications, can be read, and accepts publications again once writable", async () => {
    const folder = newFolder();
    const store = make(folder);
    await store.publish("a", "first");
    const mount = (...args: string[]) => execFileSync("mount", args);
    mount("--bind", folder, folder);
    try {
      mount("-o", "remount,bind,ro", folder);
      await expect(store.publish("a", "second")).rejects.toThrow(/EROFS/);
      await expect(store.withdraw("a")).rejects.toThrow(/EROFS/);
      expect((await store.read()).get("a")).toBe("first");
      mount("-o", "remount,bind,rw", folder);
      await store.publish("a", "second");
      expect((await store.read()).get("a")).toBe("second");
    } finally {
      execFileSync("umount", [folder]);
    }
  });
});
