import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import WebSocket from "ws";
import { RPC_PATH } from "../../../../lib/cluster/rpc/peer-connection";
import { RpcServer } from "../../../../lib/cluster/rpc/rpc-server";
import { PEER_HEADER, Signatures } from "../../../../lib/cluster/rpc/signatures";
import { SignedChannel } from "../../../../lib/cluster/rpc/signed-channel";
import { quietLog } from "../../../support/unit/quiet-log";

const signatures = new Signatures(["key"]);
let server: http.Server;
let rpcServer: RpcServer;
const calls: string[] = [];
beforeEach(async () => {
  jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate"] });
  const handler = async (method: string) => ({ called: calls.push(method) });
  rpcServer = new RpcServer("n1", signatures, handler, quietLog().log, { stamp: () => ({ process: "p", clock: 1 }) });
  server = http.createServer().on("upgrade", (request, socket, head) => void rpcServer.take(request, socket, head));
  await once(server.listen(0, "127.0.0.1"), "listening");
});
afterEach(() => {
  jest.useRealTimers();
  rpcServer.close();
  server.close().closeAllConnections();
});

/** A connection with a valid header, as a node makes it, or who has recorded that header. */
async function connect() {
  const header = signatures.signRequest({ from: "n0", to: "n1", method: "GET", url: RPC_PATH, caller: "", left: 0 });
  const { port } = server.address() as AddressInfo;
  const socket = new WebSocket(`ws://127.0.0.1:${port}${RPC_PATH}`, { headers: { [PEER_HEADER]: header } });
  socket.on("error", () => undefined);
  const [nonce] = await once(socket, "message");
  return { socket, channel: new SignedChannel(signatures, `${header} ${nonce}`, "asks"), closed: once(socket, "close") };
}
const ping = JSON.stringify({ id: 1, question: "ping", body: {} });

test("a connection without a valid call is closed after a minute, one with a call stays", async () => {
  const [silent, calling] = [await connect(), await connect()];
  calling.socket.send(calling.channel.wrap(ping));
  await once(calling.socket, "message");
  await jest.advanceTimersByTimeAsync(59_000);
  expect(silent.socket.readyState).toBe(WebSocket.OPEN);
  await jest.advanceTimersByTimeAsync(2000);
  await silent.closed;
  expect(calling.socket.readyState).toBe(WebSocket.OPEN);
});

test("a call that is larger than any of a node is not taken into memory: the connection ends at the head of its frame", async () => {
  const { socket, closed } = await connect();
  // The beginning of a frame that declares 17 MB: a client's, final, of text, and masked.
  const head = Buffer.alloc(14);
  head.writeUInt8(0x81, 0);
  head.writeUInt8(0x80 | 127, 1);
  head.writeBigUInt64BE(17_000_000n, 2);
  (socket as unknown as { _socket: import("node:net").Socket })._socket.write(head);
  const [code] = await closed;
  expect(code).toBe(1009);
});

test("a call of 15 MB is answered", async () => {
  const { socket, channel } = await connect();
  socket.send(channel.wrap(JSON.stringify({ id: 1, question: "bid", body: { volumes: ["x".repeat(15_000_000)] } })));
  const [answer] = await once(socket, "message");
  expect(JSON.parse(channel.unwrap(String(answer)))).toMatchObject({ id: 1, answer: { called: expect.any(Number) } });
});
