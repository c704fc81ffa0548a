import fc from "fast-check";
import { checkVolumeOptions } from "../../../lib/docker/create/policy";
import type { RegistryAuth } from "../../../lib/docker/engine";
import { decodeBase64 } from "../../../lib/support/base64";
import { EventStream } from "../../../lib/runs/jobs/event-stream";
import { loginFor, registryOf } from "../../../lib/docker/images/registry-login";
import { Semaphore } from "../../../lib/runs/semaphore";

const fieldOf = (option: string) => `driver_opts.${option}`;

describe("base64", () => {
  test("whatever was encoded comes back, also in lines as base64 prints it", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const text = Buffer.from(bytes).toString("base64");
        expect(decodeBase64(text, "f")).toEqual(Buffer.from(bytes));
        expect(decodeBase64(text.replace(/(.{76})/g, "$1\n"), "f")).toEqual(Buffer.from(bytes));
      }),
    );
  });

  test.each(["aGk", "aGk*", "aG k=", "aGk=x", "a===", "=", "aGl=", "aGk=aGk=", "-_-_", "aGk=\0", "äää="])("%j is refused", (text) => {
    expect(() => decodeBase64(text, "content")).toThrow("content must be base64");
  });
});

describe("a login", () => {
  const auth = (more: Partial<RegistryAuth> = {}): RegistryAuth => ({ username: "u", password: "p", ...more });

  test.each([
    ["busybox", "docker.io"],
    ["team/app:1", "docker.io"],
    ["docker.io/library/redis", "docker.io"],
    ["index.docker.io/a/b", "docker.io"],
    ["ghcr.io/user/app", "ghcr.io"],
    ["localhost/app", "localhost"],
    ["host:5000/app@sha256:0", "host:5000"],
  ])("%s comes from %s", (image, registry) => expect(registryOf(image)).toBe(registry));

  test.each(["https://index.docker.io/v1/", "docker.io", "https://registry-1.docker.io", "http://INDEX.docker.io/v2", undefined])(
    "serveraddress %s is Docker Hub, for an image from there",
    (serveraddress) => {
      expect(loginFor("team/app", auth({ serveraddress }))).toEqual({
        username: "u",
        password: "p",
        serveraddress: "https://index.docker.io/v1/",
      });
    },
  );

  test.each([
    ["ghcr.io/u/app", "https://ghcr.io"],
    ["gcr.io/p/app", "https://gcr.io/"],
    ["host:5000/app", "host:5000"],
  ])("for %s the address %s is right", (image, serveraddress) => {
    expect(loginFor(image, auth({ serveraddress }))).toMatchObject({ password: "p" });
  });

  test("for one registry is given to no other", () => {
    const answer = loginFor("elsewhere:5000/app", auth({ serveraddress: "https://index.docker.io/v1/" }));
    expect(answer).toEqual({ withheld: expect.stringContaining("docker.io") });
  });

  const KEY = JSON.stringify({ type: "service_account", private_key: "-----BEGIN PRIVATE KEY-----\nx\n" });
  test("of _json_key has its key decoded: the registry gets the JSON", () => {
    const encoded = Buffer.from(KEY).toString("base64");
    for (const password of [encoded, `${encoded.slice(0, 40)}\n${encoded.slice(40)}\n`, KEY]) {
      expect(loginFor("gcr.io/p/a", auth({ username: "_json_key", password }))).toMatchObject({ password: KEY });
    }
    const bad = Buffer.from("no json").toString("base64");
    expect(() => loginFor("gcr.io/p/a", auth({ username: "_json_key", password: bad }))).toThrow("auth_config.password");
  });
});

describe("a volume's options", () => {
  const policy = { allow: [], bindRoots: [], sockets: ["/var/run/docker.sock"] };
  test.each([
    { type: "none", o: "bind", device: "/var/run" },
    { o: "bind", device: "run/../var/run" },
    { type: "tmpfs", o: "size=1m,rbind", device: "/run" },
    { type: "nfs", o: "bind", device: "/" },
    { type: "overlay", o: "lowerdir=/var/run", device: "overlay" },
    { type: "ext4", device: "/dev/sda1" },
  ])("that reach the host are refused: %j", (options) => {
    expect(() => checkVolumeOptions("local", options, policy, fieldOf)).toThrow(/refused/);
  });
  test("so is a path to the socket for another driver", () => {
    expect(() => checkVolumeOptions("plugin", { mountpoint: "/var/run" }, policy, fieldOf)).toThrow(/refused/);
  });
  test.each([
    {},
    { type: "tmpfs", device: "tmpfs", o: "size=1m" },
    { type: "nfs", o: "addr=10.0.0.1", device: ":/x" },
    { type: "none", o: "bind", device: "/srv" },
  ])("that don't are fine: %j", (options) => checkVolumeOptions("local", options, policy, fieldOf));
  test("bind_roots narrow them too", () => {
    const narrow = { ...policy, bindRoots: ["/srv"] };
    expect(() => checkVolumeOptions("local", { o: "bind", device: "/home" }, narrow, fieldOf)).toThrow(/outside/);
  });
});

describe("places for runs", () => {
  const stays = new AbortController().signal;

  test("are given in order; who leaves the queue is passed over", async () => {
    const slots = new Semaphore(1, 60_000);
    const free = await slots.acquire(stays);
    const order: string[] = [];
    const leaves = new AbortController();
    const first = slots.acquire(stays).then((give) => {
      order.push("first");
      return give;
    });
    const second = slots.acquire(leaves.signal).catch((error) => order.push(error.code));
    const third = slots.acquire(stays).then((give) => {
      order.push("third");
      return give;
    });
    expect(slots.waiting).toBe(3);
    leaves.abort();
    await second;
    expect(slots.waiting).toBe(2);
    free();
    free();
    (await first)();
    (await third)();
    expect(order).toEqual(["ABANDONED", "first", "third"]);
    expect(slots.waiting).toBe(0);
    (await slots.acquire(stays))();
  });

  test("who waits too long is told so, and loses nobody's place", async () => {
    const slots = new Semaphore(1, 20);
    const free = await slots.acquire(stays);
    await expect(slots.acquire(stays)).rejects.toMatchObject({ code: "NO_ROOM", status: 503 });
    free();
    (await slots.acquire(stays))();
  });
});

describe("live output", () => {
  test("whatever is cut in whatever places: UTF-8 arrives whole", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "grapheme", maxLength: 40 }), fc.array(fc.nat(9), { maxLength: 40 }), async (text, cuts) => {
        const events = new EventStream("application/x-ndjson");
        let rest = Buffer.from(text);
        for (const cut of [...cuts, rest.length]) {
          void events.sendFrame({ stream: "stdout", data: rest.subarray(0, cut) });
          rest = rest.subarray(cut);
        }
        events.end("result", { status: "success" });
        let all = "";
        for await (const chunk of events.body) all += chunk;
        const lines = all
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line));
        expect(lines.pop()).toEqual({ event: "result", status: "success" });
        expect(lines.some(({ encoding }) => encoding)).toBe(false);
        expect(lines.map(({ data }) => data).join("")).toBe(text);
      }),
    );
  });

  test("what isn't UTF-8 is base64 and says so", async () => {
    const events = new EventStream("text/event-stream");
    void events.sendFrame({ stream: "stderr", data: Buffer.from([0xff, 0xfe, 0x41]) });
    void events.sendFrame({ stream: "stdout", data: Buffer.from([0xe2, 0x82]) });
    events.end("error", { code: "X" });
    let all = "";
    for await (const chunk of events.body) all += chunk;
    expect(all).toBe(
      'event: stderr\ndata: {"data":"//5B","encoding":"base64"}\n\nevent: stdout\ndata: {"data":"4oI=","encoding":"base64"}\n\nevent: error\ndata: {"code":"X"}\n\n',
    );
  });
});
