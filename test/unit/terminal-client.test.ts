import { once } from "node:events";
import type { AddressInfo } from "node:net";
import WebSocket, { WebSocketServer } from "ws";
import { Client } from "../../lib/terminal/client";
import { until } from "../../scripts/process";
import { quietLog } from "./quiet-log";

const INTERVAL = 100;
const DEADLINE = 10_000;

let server: WebSocketServer;
beforeAll(async () => {
  server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
});
afterAll(() => {
  for (const socket of server.clients) socket.terminate();
  server.close();
});

/** A terminal's client as the server has it, and the other end. */
async function connect(options: WebSocket.ClientOptions = {}, interval = INTERVAL) {
  const far = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, options);
  const [[socket]] = await Promise.all([once(server, "connection"), once(far, "open")]);
  let pings = 0;
  far.on("ping", () => {
    pings += 1;
  });
  return { far, client: new Client(socket, "an-id", quietLog().log, interval), pings: () => pings };
}

test("a client that is silent but answers pings stays", async () => {
  const { client, far, pings } = await connect();
  expect(await until(() => pings() > 10, DEADLINE)).toBe(true);
  expect(client.gone.aborted).toBe(false);
  far.terminate();
  expect(await until(() => client.gone.aborted, DEADLINE)).toBe(true);
});

test("a client that answers no ping is dropped", async () => {
  const { client } = await connect({ autoPong: false });
  expect(await until(() => client.gone.aborted, DEADLINE)).toBe(true);
});

test("a client that is not read from is not dropped for its silence, but is once it has gone", async () => {
  const { client, far, pings } = await connect();
  client.pause();
  expect(await until(() => pings() > 10, DEADLINE)).toBe(true);
  expect(client.gone.aborted).toBe(false);
  far.terminate();
  expect(await until(() => client.gone.aborted, DEADLINE)).toBe(true);
});

test("a client that asked for the close and doesn't answer it has gone", async () => {
  const { client, far } = await connect({}, 1_000_000);
  far.pause();
  client.leave();
  expect(await until(() => client.gone.aborted, DEADLINE)).toBe(true);
  far.terminate();
});

test("what is sent to one that has gone is nobody's fault", async () => {
  const { client, far } = await connect();
  far.terminate();
  await client.send({ type: "exit", code: 0 });
  expect(await until(() => client.gone.aborted, DEADLINE)).toBe(true);
  await client.send({ type: "exit", code: 0 });
  client.close(1000);
});
