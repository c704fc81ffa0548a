import { randomBytes } from "node:crypto";
import http from "node:http";
import net from "node:net";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { TOKEN } from "../../support/server";
import { auditEntries, type OneNode, rawExchange, residentMemory, startNode } from "../../support/single-node";
import { zipOf } from "../../support/zips";

let node: OneNode;
beforeAll(async () => {
  node = await startNode({ name: "clients", args: ["--header_timeout=1", "--request_timeout=2", "--body_limit=1"] });
});
afterAll(() => node?.stop());
afterEach(async () => {
  // The server still works, whatever the client did.
  expect(node.server.process.running()).toBe(true);
  expect((await node.request("GET", "/health")).status).toBe(200);
});

const AUTH = `Host: x\r\nAuthorization: Bearer ${TOKEN}\r\n`;

function* sendSlowly(first: string, repeated: string): Generator<string> {
  yield first;
  for (;;) yield repeated;
}

test("a client that sends its headers too slowly is disconnected", async () => {
  const { answer, closed } = await rawExchange(node.server.port, sendSlowly("GET / HTTP/1.1\r\nHost: x\r\n", "X-More: and more\r\n"));
  expect(closed).toBe(true);
  expect(answer === "" || answer.startsWith("HTTP/1.1 408")).toBe(true);
});

test("malformed HTTP is answered with the common error body", async () => {
  const answerTo = async (text: string) => {
    const { answer } = await rawExchange(node.server.port, [text]);
    const [head = "", body = ""] = answer.split("\r\n\r\n");
    return { head, body: JSON.parse(body) };
  };
  const garbage = await answerTo("what is this?\r\n\r\n");
  expect(garbage.head).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
  expect(garbage.body).toMatchObject({ error: "validation_error", code: "NOT_HTTP", status: 400, request_id: expect.any(String) });
  const large = await answerTo(`GET / HTTP/1.1\r\nHost: x\r\nX-Large: ${"x".repeat(20_000)}\r\n\r\n`);
  expect(large.head).toMatch(/^HTTP\/1\.1 431 /);
  expect(large.body).toMatchObject({ code: "HEADERS_TOO_LARGE", status: 431 });
});

test("a client that sends nothing is disconnected", async () => {
  expect(await rawExchange(node.server.port, [""])).toMatchObject({ closed: true });
});

test("a client that sends its body too slowly gets 408, and nothing is run", async () => {
  const head = `PUT / HTTP/1.1\r\n${AUTH}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n`;
  const { answer, closed } = await rawExchange(node.server.port, sendSlowly(`${head}{"image":"busybox","name":"slow"`, " "));
  expect(closed).toBe(true);
  expect(answer).toMatch(/^HTTP\/1\.1 408 /);
  expect(await node.names()).toEqual([]);
});

test("a large body has no time limit while it arrives steadily", async () => {
  await node.docker("create", "--name=takes", "busybox");
  const zip = zipOf({ noise: randomBytes(1_000_000) });
  async function* slowChunks() {
    for (let offset = 0; offset < zip.length; offset += 50_000) {
      yield zip.subarray(offset, offset + 50_000);
      await sleep(200);
    }
  }
  const headers = { Authorization: `Bearer ${TOKEN}` };
  const body = Readable.toWeb(Readable.from(slowChunks()));
  const answer = await fetch(`${node.server.url}/containers/takes/upload-zip`, {
    method: "POST",
    headers,
    body,
    duplex: "half",
  } as RequestInit);
  expect([answer.status, await answer.json()]).toEqual([200, expect.objectContaining({ files: 1, bytes: 1_000_000 })]);
});

test("a hundred slow clients don't delay other requests", async () => {
  const slow = Array.from({ length: 100 }, () => {
    const socket = net.connect(node.server.port, "127.0.0.1");
    socket.on("error", () => undefined);
    socket.write("GET / HTTP/1.1\r\nHost: x\r\n");
    return socket;
  });
  expect((await node.request("GET", "/")).status).toBe(200);
  for (const socket of slow) socket.destroy();
});

test("a too large body is 413, with or without Content-Length", async () => {
  const body = JSON.stringify({ image: "busybox", data: "x".repeat(1_100_000) });
  const withLength = await node.request("PUT", "/", { json: JSON.parse(body) });
  expect(withLength.json).toMatchObject({ status: 413, error: "too_large", code: "BODY_TOO_LARGE" });
  const form = await node.request("PUT", "/", { form: `image=busybox&data=${"x".repeat(1_100_000)}` });
  expect(form.json).toMatchObject({ status: 413, code: "BODY_TOO_LARGE" });
  expect(await statusOfChunked(body)).toBe(413);
});

test("an endless body is cut off, and memory stays bounded", async () => {
  const memoryBefore = residentMemory(node.server.process.pid);
  const sent = await new Promise<number>((resolve) => {
    let bytes = 0;
    const headers = { Authorization: `Bearer ${TOKEN}`, "Content-Type": "application/json" };
    const request = http.request(node.server.url, { method: "PUT", headers });
    const block = Buffer.alloc(65_536, "x");
    const pump = () => {
      while (!request.destroyed && bytes < 500_000_000) {
        bytes += block.length;
        if (!request.write(block)) return void request.once("drain", pump);
      }
      request.destroy();
    };
    request.on("error", () => undefined);
    request.on("close", () => resolve(bytes));
    request.on("response", (response) => {
      response.resume();
      response.on("end", () => request.destroy());
    });
    pump();
  });
  expect(sent).toBeLessThan(500_000_000);
  expect(residentMemory(node.server.process.pid) - memoryBefore).toBeLessThan(100);
});

test("a command line beyond the kernel's limit is 413", async () => {
  const { json } = await node.request("PUT", "/", { json: { image: "busybox", data: ["echo", "x".repeat(200_000)] } });
  expect(json).toMatchObject({ status: 413, code: "COMMAND_TOO_LONG" });
});

test("headers beyond Node's limit are 431", async () => {
  const { answer } = await rawExchange(node.server.port, [`GET / HTTP/1.1\r\n${AUTH}X-Long: ${"x".repeat(100_000)}\r\n\r\n`]);
  expect(answer).toMatch(/^HTTP\/1\.1 431 /);
});

test.each([
  ["no HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
  ["a broken request line", "GET\r\n\r\n"],
  ["a header with NUL", `GET / HTTP/1.1\r\n${AUTH}X: a\0b\r\n\r\n`],
  ["two lengths", `PUT / HTTP/1.1\r\n${AUTH}Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde`],
  ["a length and chunks", `PUT / HTTP/1.1\r\n${AUTH}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ["a broken chunk", `PUT / HTTP/1.1\r\n${AUTH}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n{}\r\n`],
  ["a broken escape in the path", `GET /%E0%A4%A HTTP/1.1\r\n${AUTH}Connection: close\r\n\r\n`],
  ["no host", `GET /x HTTP/1.1\r\nAuthorization: Bearer ${TOKEN}\r\nConnection: close\r\n\r\n`],
])("%s is a 400 or a closed connection", async (_case, bytes) => {
  const { answer, closed } = await rawExchange(node.server.port, [Buffer.from(bytes, "latin1")]);
  expect(closed).toBe(true);
  expect(answer === "" || /^HTTP\/1\.1 400 /.test(answer)).toBe(true);
});

test("a client that disconnects before its response is marked as aborted in the audit log", async () => {
  const request = http.request(node.server.url, {
    method: "PUT",
    headers: { Authorization: `Bearer ${TOKEN}`, "Content-Type": "application/json", "X-Request-Id": "disconnected-request" },
  });
  request.on("error", () => undefined);
  request.end(JSON.stringify({ image: "busybox", name: "leaver", data: "sleep 1000" }));
  await waitFor(async () => (await node.docker("ps", "--format", "{{.Names}}")).includes("leaver"));
  request.destroy();
  await waitFor(async () =>
    auditEntries(node.server).some((entry) => entry.request_id === "disconnected-request" && entry.aborted === true),
  );
});

function statusOfChunked(body: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const headers = { Authorization: `Bearer ${TOKEN}`, "Content-Type": "application/json", "Transfer-Encoding": "chunked" };
    const request = http.request(node.server.url, { method: "PUT", headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on("error", reject);
    request.end(body);
  });
}

async function waitFor(probe: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (await probe()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("the condition did not become true in 10 s");
}
