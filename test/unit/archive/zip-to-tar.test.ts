import { randomBytes } from "node:crypto";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { Spool } from "../../../lib/archive/spool";
import { zipToTar } from "../../../lib/archive/zip-to-tar";
import { Engine } from "../../../lib/docker/engine";
import { writeContainerArchive } from "../../../lib/files/container-archive";
import { run } from "../../../scripts/process";
import { zipOf } from "../../support/zips";

const FILES = Array.from({ length: 400 }, (_, at) => ({ name: `f${at}`, data: randomBytes(60_000) }));
const READ_ONLY = '{"message":"container rootfs is marked read-only"}';

/** Faults that can't be timed with a real engine. */
const FAULTS: Record<string, (request: http.IncomingMessage, response: http.ServerResponse) => void> = {
  "reads nothing and closes the connection": ({ socket }) => void setTimeout(() => socket.destroy(), 200),
  "reads nothing": () => undefined,
  "closes the connection in the middle": (request) => void request.once("data", () => request.socket.destroy()),
  "refuses at once": (_request, response) => void response.writeHead(403).end(READ_ONLY),
  "refuses in the middle": (request, response) => void request.once("data", () => response.writeHead(403).end(READ_ONLY)),
};

test.each(Object.keys(FAULTS))("only the upload fails if the engine %s", async (what) => {
  const server = http.createServer((request, response) => {
    if (request.url?.includes("_ping")) response.end("OK");
    else FAULTS[what]?.(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const spool = Spool.create();
  try {
    await spool.fill(Readable.from([zipOf(FILES)]), 100_000_000);
    const engine = new Engine({ options: { host: "127.0.0.1", port, protocol: "http" } } as never, 1000, 1000);
    const { tar, finished } = zipToTar(spool, "", ["a"], { uid: 0, gid: 0 });
    const code = what === "reads nothing" ? "ENGINE_TIMEOUT" : what.startsWith("refuses") ? "READ_ONLY" : "ENGINE_UNREACHABLE";
    await expect(writeContainerArchive(engine, "x", "/", tar)).rejects.toMatchObject({ code });
    await finished;
  } finally {
    await spool.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

test.each([262_143, 262_144, 2_097_152, 4_294_967_294])("files and folders belong to the owner %i", async (id) => {
  const spool = Spool.create();
  try {
    await spool.fill(Readable.from([zipOf([...FILES.slice(0, 1), { name: "small", data: "x" }])]), 100_000);
    const { tar, finished } = zipToTar(spool, "d/", ["d"], { uid: id, gid: id });
    const { stdout } = await run("tar", ["--numeric-owner", "-tvf", "-"], { input: await buffer(tar) });
    await finished;
    expect(stdout.match(/^\S+ \d+\/\d+/gm)?.map((line) => line.split(" ")[1])).toEqual(Array(3).fill(`${id}/${id}`));
  } finally {
    await spool.close();
  }
});
