import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import WebSocket from "ws";
import { RPC_PATH } from "../../../lib/cluster/rpc/peer-connection";
import { PEER_HEADER, type PeerRequest, Signatures } from "../../../lib/cluster/rpc/signatures";
import { SignedChannel } from "../../../lib/cluster/rpc/signed-channel";
import { run, until } from "../../../scripts/process";
import { type Engine, leaseEngine } from "../../support/engine";
import { importBusybox } from "../../support/images";
import { connectRaw, head, type RawConnection } from "../../support/raw-http";
import { startServer, type TestServer, TOKEN } from "../../support/server";
import { curl, dockerOf } from "../../support/single-node";

const NAME = "alone";
const DEADLINE = 20_000;

let folder: string;
let engine: Engine;
let server: TestServer;
let signatures: Signatures;
beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "docker-server-upgrades-"));
  engine = await leaseEngine({ name: NAME });
  await importBusybox(engine);
  server = await startServer({ engine, args: ["--cluster", "--node_name", NAME, "--folder", folder] });
  signatures = new Signatures([TOKEN]);
  await dockerOf(engine, ["run", "--detach", "--name", "box", "busybox", "sleep", "100000"]);
});
afterAll(async () => {
  await server?.stop();
  await engine?.stop();
  rmSync(folder, { recursive: true, force: true });
});
const open: RawConnection[] = [];
afterEach(async () => {
  for (const connection of open.splice(0)) connection.end();
  expect(server.process.running()).toBe(true);
  expect((await server.request("GET", "/")).status).toBe(200);
  expect(server.output()).not.toMatch(/FATAL|Unhandled promise rejection/);
});

function connect(): RawConnection {
  const connection = connectRaw(server);
  open.push(connection);
  return connection;
}

const AUTHORIZED = { Authorization: `Bearer ${TOKEN}` };
const H2C = { ...AUTHORIZED, Connection: "Upgrade, HTTP2-Settings", Upgrade: "h2c", "HTTP2-Settings": "AAMAAABkAAQAoAAAAAIAAAAA" };
const WEBSOCKET = {
  Connection: "Upgrade",
  Upgrade: "websocket",
  "Sec-WebSocket-Version": "13",
  "Sec-WebSocket-Key": randomBytes(16).toString("base64"),
};

describe("a request that offers an upgrade which no route accepts", () => {
  const EXEC = JSON.stringify({ data: "cat", interactive: true, stdin: "x".repeat(200_000) });

  test("`curl --http2` is answered over HTTP/1.1: GET, and POST with a body of any length", async () => {
    const common = ["--http2", "--header", `Authorization: Bearer ${TOKEN}`];
    const listed = await curl(...common, `${server.url}/`);
    expect(listed).toMatchObject({ status: 200, json: [{ name: "box" }] });
    const json = ["--header", "Content-Type: application/json"];
    const executed = await curl(...common, ...json, "--data", JSON.stringify({ data: "echo hello" }), `${server.url}/box`);
    expect(executed).toMatchObject({ status: 200, json: [{ stdout: "hello\n" }] });
    const { stdout } = await run("curl", ["--silent", ...common, ...json, "--data-binary", "@-", `${server.url}/box`], { input: EXEC });
    expect(JSON.parse(stdout)).toMatchObject([{ exit_code: 0, stdout: "x".repeat(200_000) }]);
  });

  test.each([
    ["with its length", (body: string) => ({ headers: { "Content-Length": String(body.length) }, sent: body })],
    [
      "in chunks",
      (body: string) => ({ headers: { "Transfer-Encoding": "chunked" }, sent: `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n` }),
    ],
  ])("a body %s reaches its route, in one piece with the head or after it", async (_name, encode) => {
    const { headers, sent } = encode(JSON.stringify({ data: "echo hello" }));
    const start = head("POST", "/box", { ...H2C, ...headers, "Content-Type": "application/json" });
    const together = connect();
    together.send(start + sent);
    expect(await together.receives(/hello/)).toMatch(/^HTTP\/1\.1 200 /);
    const apart = connect();
    apart.send(start);
    await new Promise((resolve) => setTimeout(resolve, 300));
    for (const part of [sent.slice(0, 9), sent.slice(9)]) {
      apart.send(part);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(await apart.receives(/hello/)).toMatch(/^HTTP\/1\.1 200 /);
  });

  test("the connection is kept for repeated offers, and replies come in the order of the requests", async () => {
    const connection = connect();
    const answered = (times: number) => until(() => connection.received().split("HTTP/1.1 200 ").length - 1 === times, DEADLINE);
    for (let round = 1; round <= 3; round += 1) {
      connection.send(head("GET", "/version", H2C));
      expect(await answered(round)).toBe(true);
    }
    connection.send(head("GET", "/version", AUTHORIZED) + head("GET", "/version", H2C) + head("GET", "/version", AUTHORIZED));
    expect(await answered(6)).toBe(true);
    expect(connection.received()).not.toMatch(/HTTP\/1\.1 [^2]/);
    expect(connection.closed()).toBe(false);
    connection.send(head("GET", "/version", { ...H2C, Connection: "close, Upgrade" }));
    expect(await until(connection.closed, DEADLINE)).toBe(true);
    expect(await answered(7)).toBe(true);
  });

  test("an offer of a WebSocket is answered as a plain request, with the same rights", async () => {
    const allowed = connect();
    allowed.send(head("GET", "/", { ...WEBSOCKET, ...AUTHORIZED }));
    expect(await allowed.receives(/"box"/)).toMatch(/^HTTP\/1\.1 200 /);
    const stranger = connect();
    stranger.send(head("GET", "/box", WEBSOCKET));
    expect(await stranger.receives(/MISSING_CREDENTIALS/)).toMatch(/^HTTP\/1\.1 401 /);
    for (const target of [`${RPC_PATH}/`, `${RPC_PATH}?`, "//_node/link", "/_node"]) {
      const other = connect();
      other.send(head("GET", target, { ...WEBSOCKET, ...AUTHORIZED }));
      expect(await other.receives(/\}$/)).toMatch(/^HTTP\/1\.1 404 /);
    }
  });
});

describe("an RPC connection", () => {
  const signHeader = (more: Partial<PeerRequest> = {}, by = signatures) =>
    by.signRequest({ from: "other", to: NAME, method: "GET", url: RPC_PATH, caller: "", left: 0, ...more });
  const REFUSED = "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

  /** All that comes back until the server closes the connection. */
  async function requestConnection(headers: Record<string, string>): Promise<string> {
    const connection = connect();
    connection.send(head("GET", RPC_PATH, { ...WEBSOCKET, ...headers }));
    expect(await until(connection.closed, DEADLINE)).toBe(true);
    return connection.received();
  }

  test.each<[string, () => Record<string, string>]>([
    ["no header", () => ({})],
    ["a client's token", () => AUTHORIZED],
    ["a malformed header", () => ({ [PEER_HEADER]: "a.b.c" })],
    ["an empty header", () => ({ [PEER_HEADER]: "" })],
    ["a header signed with another key", () => ({ [PEER_HEADER]: signHeader({}, new Signatures(["another"])) })],
    ["a header for another node", () => ({ [PEER_HEADER]: signHeader({ to: "another" }) })],
    ["a header for another path", () => ({ [PEER_HEADER]: signHeader({ url: "/" }) })],
    ["a header for another method", () => ({ [PEER_HEADER]: signHeader({ method: "POST" }) })],
    ["a header with one letter changed", () => ({ [PEER_HEADER]: signHeader().replace(/.$/, (last) => (last === "A" ? "B" : "A")) })],
  ])("is refused to a client with %s: 401 and nothing else", async (_name, headers) => {
    expect(await requestConnection(headers())).toBe(REFUSED);
  });

  /** Opens a connection as a peer does: its socket, and the channel that signs its messages. */
  async function join(value = signHeader()): Promise<{ socket: WebSocket; channel: SignedChannel }> {
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}${RPC_PATH}`, { headers: { [PEER_HEADER]: value } });
    const nonce = await new Promise((resolve, reject) => socket.once("message", resolve).once("error", reject));
    return { socket, channel: new SignedChannel(signatures, `${value} ${nonce}`, "asks") };
  }

  test("is opened once per signed header: the same header again is refused", async () => {
    const value = signHeader();
    const { socket } = await join(value);
    expect(await requestConnection({ [PEER_HEADER]: value })).toBe(REFUSED);
    socket.terminate();
  });

  const ask = (question: string, body: object = {}) => JSON.stringify({ id: 1, question, body });
  const nextAnswer = async (socket: WebSocket) => String(await new Promise((resolve) => socket.once("message", resolve)));

  test("answers calls, and unknown or invalid ones with an error", async () => {
    const { socket, channel } = await join();
    const call = async (text: string) => {
      socket.send(channel.wrap(text));
      return JSON.parse(channel.unwrap(await nextAnswer(socket)));
    };
    expect(await call(ask("ping"))).toMatchObject({ id: 1, answer: {} });
    for (const question of ["none", "constructor", "__proto__", "toString"])
      expect(await call(ask(question))).toMatchObject({ error: expect.stringContaining("does not know") });
    expect(await call(ask("find", { id: 5 }))).toMatchObject({ error: expect.any(String) });
    expect(await call(JSON.stringify({ id: 1, question: "list" }))).toMatchObject({ error: expect.any(String) });
    expect(await call(ask("find", { id: "box" }))).toMatchObject({ answer: { exact: [{ name: "box" }] } });
    socket.terminate();
  });

  test("tells for which process and time requests are signed: recorded ones, those of an earlier process, and those without are refused", async () => {
    const { socket, channel } = await join();
    socket.send(channel.wrap(ask("ping")));
    const { process, clock: at } = JSON.parse(channel.unwrap(await nextAnswer(socket)));
    socket.terminate();
    const statusOf = async (value: string) => (await fetch(`${server.url}/version`, { headers: { [PEER_HEADER]: value } })).status;
    const signed = (more: Partial<PeerRequest>) => signHeader({ url: "/version", ...more });
    const recorded = signed({ process, at });
    expect([await statusOf(recorded), await statusOf(recorded)]).toEqual([200, 401]);
    expect(await statusOf(signed({ process: "an-earlier-one", at }))).toBe(401);
    expect(await statusOf(signed({ process, at: at - 600_000 }))).toBe(401);
    expect(await statusOf(signed({}))).toBe(401);
  });

  test.each<[string, (channel: SignedChannel) => (string | Buffer)[]]>([
    ["unsigned text", () => [ask("ping")]],
    ["an empty message", () => [""]],
    ["random bytes", () => [randomBytes(5000)]],
    ["a message twice", (channel) => [channel.wrap(ask("ping"))].flatMap((text) => [text, text])],
    ["messages in the wrong order", (channel) => [channel.wrap(ask("ping")), channel.wrap(ask("ping"))].reverse()],
    ["an altered message", (channel) => [channel.wrap(ask("ping")).replace("ping", "pong")]],
    ["a signed message that is not JSON", (channel) => [channel.wrap("{")]],
    ["a signed message that is no object", (channel) => [channel.wrap("null")]],
  ])("is closed after %s", async (_name, frames) => {
    const { socket, channel } = await join();
    for (const frame of frames(channel)) socket.send(frame);
    expect(await until(() => socket.readyState === WebSocket.CLOSED, DEADLINE)).toBe(true);
  });

  test("is closed after bytes that are no frames, a frame of absurd length, and an empty fragment", async () => {
    const bad = [randomBytes(3000), Buffer.from("82ff7fffffffffffffff00000000", "hex"), Buffer.from("80800000000000", "hex")];
    for (const bytes of bad) {
      const connection = connect();
      connection.send(head("GET", RPC_PATH, { ...WEBSOCKET, [PEER_HEADER]: signHeader() }));
      await connection.receives(/^HTTP\/1\.1 101 /);
      connection.send(bytes);
      expect(await until(connection.closed, DEADLINE)).toBe(true);
    }
  });

  test("without a valid WebSocket handshake is refused, even with a valid header", async () => {
    for (const wrong of [{ Upgrade: "h2c" }, { "Sec-WebSocket-Version": "1" }, { "Sec-WebSocket-Key": "short" }])
      expect(await requestConnection({ ...wrong, [PEER_HEADER]: signHeader() })).toMatch(/^HTTP\/1\.1 4\d\d /);
  });

  test("many connections broken off at every stage leave the node working", async () => {
    const stages = [
      () => "GET",
      () => head("GET", RPC_PATH, WEBSOCKET),
      () => head("GET", RPC_PATH, { ...WEBSOCKET, [PEER_HEADER]: signHeader() }),
    ];
    for (let round = 0; round < 30; round += 1) {
      const connection = connect();
      connection.send((stages[round % 3] as () => string)());
      if (round % 2) await new Promise((resolve) => setTimeout(resolve, 20));
      connection.end();
    }
  });
});

describe("three nodes on one engine", () => {
  const twins: TestServer[] = [];
  const warningsOf = async (node: TestServer, path: string) => (await node.request("GET", path)).json.warnings as string[] | undefined;
  beforeAll(async () => {
    const start = (name: string) => startServer({ engine, args: ["--cluster", "--node_name", name, "--folder", folder] });
    twins.push(...(await Promise.all(["twin1", "twin2"].map(start))));
    const told = async () =>
      (await Promise.all([server, ...twins].map((node) => warningsOf(node, "/nodes")))).map((each) => each?.join() ?? "");
    expect(await until(async () => (await told()).every((each) => each.includes(`${NAME}, twin1, twin2 use one`)), DEADLINE)).toBe(true);
  });
  afterAll(() => Promise.all(twins.map((twin) => twin.stop("SIGKILL"))));

  test("list each container once, execute each command once, and start named containers", async () => {
    for (const [index, node] of [server, ...twins].entries()) {
      const listed = (await node.request("GET", "/")).json as { name: string }[];
      expect(listed.map(({ name }) => name)).toEqual(["box"]);
      const count = ["sh", "-c", `echo line >> /tmp/lines-${index}; wc -l < /tmp/lines-${index}`];
      const executed = await node.request("POST", "/box", { json: { data: count } });
      expect(executed.text).toContain('"stdout":"1\\n"');
      const started = await node.request("PUT", "/", {
        json: { name: `named-${index}`, image: "busybox", detach: true, data: "sleep 1000" },
      });
      expect(started.status).toBe(200);
      expect((await node.request("DELETE", `/named-${index}`)).status).toBe(200);
    }
  });

  test("are told at /healthz, and named with each other at /nodes", async () => {
    for (const node of [server, ...twins]) {
      expect(await warningsOf(node, "/healthz")).toEqual([expect.stringContaining("use one Docker engine")]);
      const { nodes } = (await node.request("GET", "/nodes")).json as { nodes: { name: string; same_engine?: string[] }[] };
      expect(nodes.find(({ name }) => name === NAME)?.same_engine?.sort()).toEqual(["twin1", "twin2"]);
    }
    expect((await dockerOf(engine, ["volume", "ls", "--quiet"])).trim()).toBe("");
  });
});
