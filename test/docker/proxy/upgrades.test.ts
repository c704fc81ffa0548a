import { randomUUID } from "node:crypto";
import WebSocket from "ws";
import { until } from "../../../scripts/process";
import { connectRaw, head } from "../../support/raw-http";
import { TOKEN } from "../../support/server";
import { auditEntries, type OneNode, startNode } from "../../support/single-node";
import { startWeb } from "../../support/web-container";

let node: OneNode;
const web = `web-${randomUUID().slice(0, 8)}`;

beforeAll(async () => {
  node = await startNode({ name: "upgrade", inside: true, args: ["--proxy_timeout=2"] });
  await startWeb(node.engine, web);
});

afterAll(() => node?.stop());

function connect(path: string, headers: Record<string, string> = { "X-Access-Token": TOKEN }): Promise<WebSocket> {
  const socket = new WebSocket(`${node.server.url.replace("http", "ws")}/proxy/${web}${path}`, { headers, perMessageDeflate: false });
  return new Promise((resolve, reject) => socket.once("open", () => resolve(socket)).once("error", reject));
}

const nextMessage = (socket: WebSocket) => new Promise((resolve) => socket.once("message", (data) => resolve(String(data))));
const openConnections = async () => Number((await node.docker("exec", web, "wget", "-q", "-O", "-", "http://127.0.0.1/open")).trim()) - 1;

test("a WebSocket reaches the container, also at its root, and closing either end closes the other", async () => {
  for (const path of ["/", "/chat?room=1"]) {
    const socket = await connect(path);
    for (const text of ["one", "two"]) {
      const echo = nextMessage(socket);
      socket.send(text);
      expect(await echo).toBe(text);
    }
    // Longer than the response timeout.
    await new Promise((resolve) => setTimeout(resolve, 2500));
    const echo = nextMessage(socket);
    socket.send("still here");
    expect(await echo).toBe("still here");
    expect(await openConnections()).toBe(1);
    socket.terminate();
    expect(await until(async () => (await openConnections()) === 0, 20_000)).toBe(true);
  }
  const entry = () => auditEntries(node.server).find(({ path }) => path.endsWith("/chat"));
  expect(await until(() => entry() !== undefined, 20_000)).toBe(true);
  expect(entry()).toMatchObject({ method: "GET", status: 101 });
});

test("bytes directly after the upgrade request are not lost", async () => {
  const connection = connectRaw(node.server, new URL(node.server.url).hostname);
  const key = { "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version": "13" };
  const lines = { "X-Access-Token": TOKEN, Connection: "keep-alive, Upgrade", Upgrade: "websocket", ...key };
  connection.send(Buffer.concat([Buffer.from(head("GET", `/proxy/${web}/`, lines)), Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69])]));
  expect(await connection.receives(/hi$/)).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/);
  connection.end();
});

test("a refused upgrade is forwarded unchanged, and the connection is closed", async () => {
  await expect(connect("/no")).rejects.toThrow("403");
  expect(await until(async () => (await openConnections()) === 0, 20_000)).toBe(true);
});

test("an upgrade without credentials or from a page of another origin is refused", async () => {
  await expect(connect("/", {})).rejects.toThrow("401");
  await expect(connect("/", { "X-Access-Token": TOKEN, Origin: "http://evil.example" })).rejects.toThrow("403");
  (await connect("/", { "X-Access-Token": TOKEN, Origin: node.server.url })).terminate();
  expect(await until(async () => (await openConnections()) === 0, 20_000)).toBe(true);
});

test("an offered upgrade to HTTP/2 is ignored", async () => {
  const connection = connectRaw(node.server, new URL(node.server.url).hostname);
  const lines = { "X-Access-Token": TOKEN, Connection: "Upgrade, HTTP2-Settings", Upgrade: "h2c", "HTTP2-Settings": "AAMAAABk" };
  connection.send(head("GET", `/proxy/${web}/plain`, lines));
  expect(await connection.receives(/\}$/)).toMatch(/^HTTP\/1\.1 200 OK[\s\S]*"url":"\/plain"/);
  connection.end();
});

test("disconnecting clients and dying containers leave no connection open and crash nothing", async () => {
  const sockets = await Promise.all(Array.from({ length: 20 }, () => connect("/")));
  for (const socket of sockets.slice(0, 10)) socket.terminate();
  const closed = sockets.slice(10).map((socket) => new Promise((resolve) => socket.once("close", resolve).on("error", () => undefined)));
  await node.docker("kill", web);
  await Promise.all(closed);
  await expect(connect("/")).rejects.toThrow("409");
  await node.docker("start", web);
  const servesAgain = async () => (await node.request("GET", `/proxy/${web}/`)).status === 200;
  expect(await until(servesAgain, 20_000)).toBe(true);
});
