import { once } from "node:events";
import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { WebSocketServer } from "ws";
import { Access } from "../../../../lib/access/access";
import { Peer } from "../../../../lib/cluster/membership/peer";
import { PeerClient } from "../../../../lib/cluster/rpc/peer-client";
import { RpcServer } from "../../../../lib/cluster/rpc/rpc-server";
import { Signatures } from "../../../../lib/cluster/rpc/signatures";
import { until } from "../../../../scripts/process";
import { recordOf } from "../../../support/unit/cluster-parts";
import { quietLog } from "../../../support/unit/quiet-log";

const TIMEOUT_MS = 10_000;
const stamp = () => ({ process: "a-process", clock: 1000 });

test("when a peer closes its RPC connection, its idle HTTP connections are closed, those of other peers are not", async () => {
  const signatures = new Signatures(["key"]);
  const nodes = await Promise.all(
    ["n1", "n2"].map(async (name) => {
      const rpcServer = new RpcServer(name, signatures, async () => ({}) as never, quietLog().log, { stamp });
      const sockets = new Set<Socket>();
      const server = http.createServer({ keepAliveTimeout: 60_000 }, (_request, response) => response.end("done"));
      server.on("connection", (socket) => sockets.add(socket.once("close", () => sockets.delete(socket))));
      server.on("upgrade", (request, socket, head) => void rpcServer.take(request, socket, head));
      await once(server.listen(0, "127.0.0.1"), "listening");
      const { port } = server.address() as AddressInfo;
      return { peer: new Peer(recordOf(name, { url: `http://127.0.0.1:${port}` })), rpcServer, sockets, server };
    }),
  );
  const client = new PeerClient("n0", signatures, () => ({}) as never);
  try {
    for (const { peer, sockets } of nodes) {
      await client.call(peer, "ping", {}, TIMEOUT_MS);
      const response = await client.send(peer, { method: "GET", url: "/", caller: "", access: Access.full, remainingMs: TIMEOUT_MS });
      await once(response.resume(), "close");
      expect(sockets.size).toBe(2);
    }
    // What an answer told is part of what is signed next.
    const [claim = ""] = client.signRequest("n1", { method: "GET", url: "/", caller: "", access: Access.full, remainingMs: 0 }).split(".");
    const { process, at } = JSON.parse(Buffer.from(claim, "base64url").toString());
    expect({ process, at: at >= 1000 }).toEqual({ process: "a-process", at: true });
    const [stopping, staying] = nodes as [(typeof nodes)[0], (typeof nodes)[0]];
    stopping.rpcServer.close();
    expect(await until(() => stopping.sockets.size === 0, TIMEOUT_MS)).toBe(true);
    expect(staying.sockets.size).toBe(2);
  } finally {
    client.close();
    for (const { server } of nodes) server.close();
  }
});

test("the end of an established connection is told, whichever side ends it, and a refused one is not", async () => {
  const signatures = new Signatures(["key"]);
  const server = http.createServer();
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const peer = new Peer(recordOf("n1", { url: `http://127.0.0.1:${port}` }));
  const open = () => {
    const rpcServer = new RpcServer("n1", signatures, async () => ({}) as never, quietLog().log, { stamp });
    server.removeAllListeners("upgrade").on("upgrade", (request, socket, head) => void rpcServer.take(request, socket, head));
    return rpcServer;
  };
  let ends = 0;
  const client = new PeerClient(
    "n0",
    signatures,
    () => ({}) as never,
    () => {
      ends += 1;
    },
  );
  try {
    server.on("upgrade", (_request, socket) => socket.destroy());
    await expect(client.call(peer, "ping", {}, TIMEOUT_MS)).rejects.toMatchObject({ peer: "n1" });
    expect(ends).toBe(0);
    const first = open();
    await client.call(peer, "ping", {}, TIMEOUT_MS);
    first.close();
    expect(await until(() => ends === 1, TIMEOUT_MS)).toBe(true);
    open();
    await client.call(peer, "ping", {}, TIMEOUT_MS);
    client.close();
    expect(await until(() => ends === 2, TIMEOUT_MS)).toBe(true);
  } finally {
    client.close();
    server.close();
  }
});

test("a peer at whose address another node answers fails with the option to check", async () => {
  const signatures = new Signatures(["key"]);
  const other = new RpcServer("n2", signatures, async () => ({}) as never, quietLog().log, { stamp });
  const server = http.createServer();
  server.on("upgrade", (request, socket, head) => void other.take(request, socket, head));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = new PeerClient("n0", signatures, () => ({}) as never);
  try {
    await expect(client.call(new Peer(recordOf("n1", { url })), "ping", {}, TIMEOUT_MS)).rejects.toMatchObject({
      reason: "another node or program answers at its address, with 401: check its --advertise and --cluster_key",
    });
  } finally {
    client.close();
    server.close();
  }
});

test("an answerer that begins with megabytes gets no call: each signature of the connection would cover them", async () => {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  const received: string[] = [];
  server.on("connection", (socket) => {
    socket.on("message", (message) => received.push(String(message)));
    socket.send("x".repeat(5_000_000));
  });
  const { port } = server.address() as AddressInfo;
  const client = new PeerClient("n0", new Signatures(["key"]), () => ({}) as never);
  try {
    const peer = new Peer(recordOf("n1", { url: `http://127.0.0.1:${port}` }));
    await expect(client.call(peer, "ping", {}, TIMEOUT_MS)).rejects.toThrow("greeting is too long");
    expect(received).toEqual([]);
  } finally {
    client.close();
    for (const socket of server.clients) socket.terminate();
    server.close();
  }
});
