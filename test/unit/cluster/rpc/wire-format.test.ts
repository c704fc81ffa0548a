import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import WebSocket, { WebSocketServer } from "ws";
import { Access } from "../../../../lib/access/access";
import { Credentials } from "../../../../lib/auth/credentials";
import { Tickets } from "../../../../lib/auth/tickets";
import { Peer } from "../../../../lib/cluster/membership/peer";
import { decodeRecord, encodeRecord, type NodeRecord } from "../../../../lib/cluster/membership/record";
import { rpcHandlers } from "../../../../lib/cluster/rpc/handlers";
import type { RpcMethod, RpcParams, RpcResult } from "../../../../lib/cluster/rpc/methods";
import { PeerClient } from "../../../../lib/cluster/rpc/peer-client";
import { RPC_PATH } from "../../../../lib/cluster/rpc/peer-connection";
import { RpcServer } from "../../../../lib/cluster/rpc/rpc-server";
import { digestOf, PEER_HEADER, type PeerRequest, Signatures } from "../../../../lib/cluster/rpc/signatures";
import { SignedChannel } from "../../../../lib/cluster/rpc/signed-channel";
import { Bidder } from "../../../../lib/cluster/scheduling/bidder";
import { hashKey } from "../../../../lib/cluster/scheduling/idempotency";
import { recordOf } from "../../../support/unit/cluster-parts";
import { quietLog } from "../../../support/unit/quiet-log";

// Nodes of different versions serve one pool: during an upgrade each must read what the other sends. These literals were produced by an
// earlier version. If a test here fails, the change breaks running clusters.
const SECRET = "cluster secret";
const SIGNATURE = /^[\w-]{43}$/;

const REQUEST: PeerRequest = {
  from: "n1",
  to: "n2",
  method: "PUT",
  url: "/?explain=1",
  caller: "token-1a2b3c4d",
  left: 30_000,
  digest: "hvRDa69VcPaTSbxs-tU-Akg0KF6Gagyh5IZZQnR_z2o",
};
const SIGNED_REQUEST =
  "eyJmcm9tIjoibjEiLCJ0byI6Im4yIiwibWV0aG9kIjoiUFVUIiwidXJsIjoiLz9leHBsYWluPTEiLCJjYWxsZXIiOiJ0b2tlbi0xYTJiM2M0ZCIsImxlZnQiOjMwMDAw" +
  "LCJkaWdlc3QiOiJodlJEYTY5VmNQYVRTYnhzLXRVLUFrZzBLRjZHYWd5aDVJWlpRblJfejJvIiwibm9uY2UiOiJ2b2ktcThTWURPcGxjYzVlIn0" +
  ".ykZg-pPDA_oPTxjpyGTeWIh5wKq4GamWeHbOGG1Itxg";
const RECORD: NodeRecord = {
  name: "n1",
  url: "http://10.99.0.1:1717",
  sequence: 7,
  process: "0b5e4c0e-7f43-4c0a-9a36-6b1f2d0f9a11",
  version: "2.0.0",
  docker: "20.10.24",
  engine: "ok",
  containers: 3,
  runs: { running: 1, waiting: 0 },
  load: 0.25,
};
const STORED_RECORD = String.raw`{"record":"{\"name\":\"n1\",\"url\":\"http://10.99.0.1:1717\",\"sequence\":7,\"process\":\"0b5e4c0e-7f43-4c0a-9a36-6b1f2d0f9a11\",\"version\":\"2.0.0\",\"docker\":\"20.10.24\",\"engine\":\"ok\",\"containers\":3,\"runs\":{\"running\":1,\"waiting\":0},\"load\":0.25}","signature":"9Xohszf0nss4rj9WtHMcnHtm8RbinuhchU3SENApHfc"}`;
const SESSION = "header.signature nonce";
const CALL_TEXT = '{"id":1,"question":"find","body":{"id":"web"}}';
const CALL_MESSAGE = `rYWAvmldh76kmMPOhbFF6NIe13F_oZcbGyMpIvBj2vg${CALL_TEXT}`;
const ANSWER_TEXT = '{"id":1,"answer":{"exact":[],"prefix":[]}}';
const ANSWER_MESSAGE = `dJCtS91Aj_t8hXlxjPGeBMEYDK8Kx8IXwtGJdMXhUE8${ANSWER_TEXT}`;
const ERROR_TEXT = '{"id":2,"error":"it does not know the question nonsense"}';
const ERROR_MESSAGE = `9-nv92J3Rc2-TKsj6Y6tbBB5KEPGW4C2-slfaXevNNE${ERROR_TEXT}`;
const TICKET =
  "eyJjYWxsZXIiOiJ0b2tlbi0xYTJiM2M0ZCIsImF0IjoxNzk1ODk2NTM0OTI0LCJub25jZSI6ImdySWpQOHlQRWxCODh2WFJjYnI2RHcifQ" +
  ".uTi7cGfVY-7qtQAf7zQUl2Xkx_UxauLxz41VdY22i0Q";
const TICKET_TIME = 1_795_896_534_924;

const PEER_RECORD =
  '{"name":"n2","url":"http://10.99.0.2:1717","sequence":7,"process":"p","version":"2.0.0","docker":null,"engine":"down","containers":0,"runs":{"running":0,"waiting":0},"load":0}';
const JOIN_PARAMS = `{"record":${PEER_RECORD.replace('"n2"', '"n1"')},"predecessor":"before"}`;
const BID_PARAMS = '{"image":"busybox","pull":"missing","ports":["80/tcp"],"volumes":[],"memory":0,"cpus":0,"slot":true}';
const BID =
  '{"node":"n2","cpu":0.125,"memory":0.5,"recent":0,"slots":{"taken":0,"size":4},"reservedMemory":0.25,"reservedCpu":0.5,' +
  '"hasImage":true,"hasVolumes":false,"declines":"port 80/tcp is taken","code":"PORT_TAKEN"}';
const FOUND = `{"exact":[{"id":"${"c".repeat(64)}","name":"web","state":"running","labels":{"a":"b"}}],"prefix":[]}`;
const USE =
  '{"settled":{"containers":1,"memory":1024,"cpus":0.5,"runs":0},' +
  '"pending":[{"claim":"1 a","use":{"containers":0,"memory":0,"cpus":0,"runs":1}}]}';
/** Every method, with parameters and a result as they are sent. */
const CALLS: [method: RpcMethod, params: string, result: string][] = [
  ["ping", "{}", "{}"],
  ["status", "{}", PEER_RECORD],
  ["find", '{"id":"web"}', FOUND],
  ["find", '{"id":"web","lease":true}', FOUND.replace(/}$/, ',"lease":30000}')],
  ["named", '{"name":"web"}', "{}"],
  ["named", "{}", "{}"],
  ["list", '{"have":""}', '{"version":"v1","lease":25,"json":"[]"}'],
  ["list", '{"have":"v1"}', '{"version":"v1","lease":25}'],
  ["changed", "{}", "{}"],
  ["volume", '{"name":"data"}', '{"held":true}'],
  ["use", '{"labels":{"a":"b"}}', USE],
  ["bid", BID_PARAMS, BID],
  ["name", '{"name":"web","claim":"1","late":false}', '{"taken":false}'],
  ["join", JOIN_PARAMS, "{}"],
  ["leave", '{"process":"p"}', "{}"],
];

const signatures = new Signatures([SECRET]);
const TIMEOUT_MS = 10_000;

describe("the header of requests between nodes", () => {
  test("of the earlier version is verified", () => {
    expect(new Signatures([SECRET]).verifyRequest(SIGNED_REQUEST, REQUEST)).toEqual({ ...REQUEST, nonce: "voi-q8SYDOplcc5e" });
  });

  test("has the same name, fields, digest and signature", () => {
    expect(PEER_HEADER).toBe("x-docker-server-peer");
    const [claim = "", signature = "", ...rest] = signatures.signRequest(REQUEST).split(".");
    expect(rest).toEqual([]);
    expect(signature).toMatch(SIGNATURE);
    const { nonce, ...fields } = JSON.parse(Buffer.from(claim, "base64url").toString());
    expect(nonce).toMatch(/^[\w-]{16}$/);
    expect(JSON.stringify(fields)).toBe(JSON.stringify(REQUEST));
    const [oldClaim = "", oldSignature] = SIGNED_REQUEST.split(".");
    expect(signatures.sign("request", oldClaim)).toBe(oldSignature);
    expect(digestOf(Buffer.from('{"image":"busybox"}'))).toBe(REQUEST.digest);
  });
});

test("a record is stored and read in the same form", () => {
  expect(decodeRecord(STORED_RECORD, signatures)).toEqual(RECORD);
  expect(encodeRecord(RECORD, signatures)).toBe(STORED_RECORD);
});

test("messages of an RPC connection are signed and verified in the same form", () => {
  const client = new SignedChannel(signatures, SESSION, "asks");
  const server = new SignedChannel(signatures, SESSION, "answers");
  expect(client.wrap(CALL_TEXT)).toBe(CALL_MESSAGE);
  expect(server.unwrap(CALL_MESSAGE)).toBe(CALL_TEXT);
  expect(client.unwrap(ANSWER_MESSAGE)).toBe(ANSWER_TEXT);
  server.wrap("x");
  expect(server.wrap(ERROR_TEXT)).toBe(ERROR_MESSAGE);
});

describe("RPC calls", () => {
  test.each(CALLS)("%s: parameters %s are sent, and the earlier version's result is accepted unchanged", async (method, params, result) => {
    const peer = await startPeer((text) => {
      expect(text).toBe(`{"id":1,"question":"${method}","body":${params}}`);
      return `{"id":1,"answer":${result}}`;
    });
    const answer = await peer.call(method, JSON.parse(params)).finally(peer.stop);
    expect(JSON.stringify(answer)).toBe(result);
  });

  test("an error of the peer is a failure that says nothing about its health", async () => {
    const peer = await startPeer(() => '{"id":1,"error":"it does not know the question nonsense"}');
    await expect(peer.call("ping", {}).finally(peer.stop)).rejects.toMatchObject({
      peer: "n2",
      reason: "it does not know the question nonsense",
      sent: true,
      healthNeutral: true,
    });
  });

  test.each<[RpcMethod, string, string]>([
    ["bid", BID.replace('"cpu":0.125,', ""), "invalid answer to bid at cpu: "],
    ["find", FOUND.replace('"labels":{"a":"b"}', '"labels":{"a":1}'), "invalid answer to find at exact.0.labels.a: "],
    ["list", '{"version":"v1","lease":25,"json":[]}', "invalid answer to list at json: "],
    ["volume", '{"held":"yes"}', "invalid answer to volume at held: "],
    ["ping", '"pong"', "invalid answer to ping: "],
  ])("an invalid result of %s is a failure with the reason, and says nothing about the peer's health", async (method, result, reason) => {
    const params = CALLS.find(([name]) => name === method)?.[1] as string;
    const peer = await startPeer(() => `{"id":1,"answer":${result}}`);
    await expect(peer.call(method, JSON.parse(params)).finally(peer.stop)).rejects.toMatchObject({
      peer: "n2",
      reason: expect.stringMatching(new RegExp(`^${reason}`)),
      sent: true,
      healthNeutral: true,
    });
  });

  test.each<[RpcMethod, string]>([
    ["bid", BID.replace("{", '{"gpus":2,').replace("PORT_TAKEN", "GPU_TAKEN")],
    ["status", PEER_RECORD.replace("{", '{"zone":"a",')],
    ["find", FOUND.replace('"state"', '"image":"busybox","state"')],
    ["ping", '{"time":1}'],
  ])("additional fields in a result of %s, from a later version, are accepted and kept", async (method, result) => {
    const params = CALLS.find(([name]) => name === method)?.[1] as string;
    const peer = await startPeer(() => `{"id":1,"answer":${result}}`);
    const answer = await peer.call(method, JSON.parse(params)).finally(peer.stop);
    expect(JSON.stringify(answer)).toBe(result);
  });
});

describe("the RPC server", () => {
  test("answers every method of the earlier version, names an unknown one, and closes after an invalid message", async () => {
    const { log, entries } = quietLog();
    const server = new RpcServer("n2", new Signatures([SECRET]), handlers(), log, { stamp: () => ({ process: "p2", clock: 5.5 }) });
    const listener = http.createServer().on("upgrade", (request, socket, head) => void server.take(request, socket, head));
    await once(listener.listen(0, "127.0.0.1"), "listening");
    const header = signatures.signRequest({ from: "n1", to: "n2", method: "GET", url: "/_node/link", caller: "", left: 0 });
    const { port } = listener.address() as AddressInfo;
    const client = new WebSocket(`ws://127.0.0.1:${port}/_node/link`, { headers: { [PEER_HEADER]: header } });
    try {
      const [nonce] = await once(client, "message");
      expect(String(nonce)).toMatch(/^[\w-]{16}$/);
      const channel = new SignedChannel(signatures, `${header} ${nonce}`, "asks");
      const call = async (text: string) => {
        client.send(channel.wrap(text));
        return channel.unwrap(String((await once(client, "message"))[0]));
      };
      for (const [method, params, result] of CALLS)
        expect(await call(`{"id":5,"question":"${method}","body":${params}}`)).toBe(
          `{"id":5,"answer":${result},"process":"p2","clock":5.5}`,
        );
      expect(await call('{"id":6,"question":"nonsense","body":{}}')).toBe(
        '{"id":6,"error":"it does not know the question nonsense","process":"p2","clock":5.5}',
      );
      const closed = once(client, "close");
      client.send(CALL_MESSAGE);
      await closed;
      expect(entries).toEqual([
        {
          level: "warn",
          message: "RPC connection closed after an invalid message",
          fields: { peer: "n1", reason: "a message's signature is not valid" },
        },
      ]);
    } finally {
      client.terminate();
      server.close();
      listener.close();
    }
  });
});

test("a ticket of the earlier version is recognized, and has the same form", () => {
  const now = jest.spyOn(Date, "now").mockReturnValue(TICKET_TIME + 1000);
  try {
    const tickets = new Tickets(signatures, () => Access.full);
    expect(tickets.holderOf(TICKET)).toEqual({ identity: "token-1a2b3c4d", access: Access.full });
    const [text = "", signature = ""] = tickets.issue("c".repeat(64), "anna", Access.full).ticket.split(".");
    expect(signature).toMatch(SIGNATURE);
    expect(Buffer.from(text, "base64url").toString()).toMatch(/^\{"caller":"anna","at":1795896535924,"nonce":"[\w-]{22}"\}$/);
  } finally {
    now.mockRestore();
  }
});

test("all nodes derive the same identity from a token, and the same label from an Idempotency-Key", () => {
  const settings = { token: ["a token"], token_file: null, user: "anna", password: "a password" };
  const credentials = Credentials.load(settings, quietLog().log, SECRET);
  expect(credentials.check({ authorization: "Bearer a token" })).toEqual({
    identity: "token-61d85fc4",
    fingerprint: "YdhfxFPvvOBIEiqJdsmvHPKtg6Iz4NK8f9DtOr6iKWs=",
    access: Access.full,
  });
  expect(hashKey("order 1")).toBe("f3d6f0d55b053fdeb0116c2eaffd74e9");
});

/** A peer `n2` that answers each message of a connection with the text that `respond` returns. */
async function startPeer(respond: (text: string) => string) {
  const server = http.createServer();
  const sockets = new WebSocketServer({ server, path: RPC_PATH });
  sockets.on("connection", (socket, request) => {
    const channel = new SignedChannel(signatures, `${request.headers[PEER_HEADER]} nonce`, "answers");
    socket.on("message", (data) => socket.send(channel.wrap(respond(channel.unwrap(String(data))))));
    socket.send("nonce");
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const peer = new Peer(recordOf("n2", { url: `http://127.0.0.1:${port}` }));
  const client = new PeerClient("n1", signatures, () => ({}) as never);
  return {
    call: <M extends RpcMethod>(method: M, params: RpcParams<M>): Promise<RpcResult<M>> => client.call(peer, method, params, TIMEOUT_MS),
    stop: () => {
      client.close();
      for (const socket of sockets.clients) socket.terminate();
      server.close();
    },
  };
}

/** The handlers of node `n2`, on a host as `CALLS` describes it. */
function handlers() {
  const inventory = async () => ({
    reservedMemory: 0.25,
    reservedCpu: 0.5,
    bindings: ["0.0.0.0:80/tcp"],
    hasImage: true,
    hasVolumes: false,
    totalMemory: 1e9,
    cores: 4,
  });
  const nothing = () => undefined;
  return rpcHandlers({
    host: {
      find: async () => JSON.parse(FOUND),
      list: async () => ({ version: "v1", json: Buffer.from("[]"), followed: true }),
      onChange: nothing,
      onNameGiven: nothing,
      followsNames: () => true,
      holdsVolume: async () => true,
      answerName: async () => ({ taken: false }),
      countUse: async () => JSON.parse(USE),
    },
    members: { handleJoin: nothing, handleLeave: nothing, refresh: async () => undefined } as never,
    bidder: new Bidder({ nodeName: "n2", inventory, load: () => ({ cpu: 0.125, memory: 0.5 }), slotCount: 4 }),
    leases: { grant: () => 25 } as never,
    containerCache: { invalidate: nothing } as never,
    lookupLeases: { grant: () => 30_000 } as never,
    hints: { forget: nothing } as never,
    ownRecord: async () => JSON.parse(PEER_RECORD),
  });
}
