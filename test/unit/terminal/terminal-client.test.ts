import { once } from "node:events";
import type { AddressInfo } from "node:net";
import WebSocket, { WebSocketServer } from "ws";
import { TerminalClient } from "../../../lib/terminal/terminal-client";
import { until } from "../../../scripts/process";
import { quietLog } from "../../support/unit/quiet-log";

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
  return { far, client: new TerminalClient(socket, "an-id", quietLog().log, interval), pings: () => pings };
}

test("a client that is silent but answers pings stays", async () => {
  const { client, far, pings } = await connect();
  expect(await until(() => pings() > 10, DEADLINE)).toBe(true);
  expect(client.closedSignal.aborted).toBe(false);
  far.terminate();
  expect(await until(() => client.closedSignal.aborted, DEADLINE)).toBe(true);
});

test("a client that answers no ping is dropped", async () => {
  const { client } = await connect({ autoPong: false });
  expect(await until(() => client.closedSignal.aborted, DEADLINE)).toBe(true);
});

test("a client that is not read from is not dropped for its silence, but is once it has gone", async () => {
  const { client, far, pings } = await connect();
  client.pause();
  expect(await until(() => pings() > 10, DEADLINE)).toBe(true);
  expect(client.closedSignal.aborted).toBe(false);
  far.terminate();
  expect(await until(() => client.closedSignal.aborted, DEADLINE)).toBe(true);
});

test("messages are taken one after the other, as they came, and what can't be read is answered in its place", async () => {
  const { client, far } = await connect();
  let atOnce = 0;
  let most = 0;
  const taken: number[] = [];
  client.onMessage(async (message) => {
    atOnce += 1;
    most = Math.max(most, atOnce);
    await new Promise((resolve) => setImmediate(resolve));
    if (message.type === "resize") taken.push(message.cols);
    atOnce -= 1;
  });
  const answers: string[] = [];
  far.on("message", (data) => answers.push(String(data)));
  const columns = Array.from({ length: 1000 }, (_, index) => index + 1);
  for (const cols of columns) far.send(JSON.stringify({ type: "resize", cols, rows: 1 }));
  far.send("not JSON");
  expect(await until(() => answers.length > 0, DEADLINE)).toBe(true);
  expect([taken, most]).toEqual([columns, 1]);
  expect(JSON.parse(answers[0] as string)).toMatchObject({ type: "error", error: { code: "INVALID_BODY" } });
  far.terminate();
});

test("a client whose messages can't be read and who reads no answers costs no memory", async () => {
  const { client, far } = await connect({}, 1_000_000);
  client.onMessage(() => undefined);
  let answered = 0;
  const sendError = client.sendError.bind(client);
  jest.spyOn(client, "sendError").mockImplementation((error) => {
    answered += 1;
    return sendError(error);
  });
  far.pause();
  const FRAMES = 200_000;
  for (let sent = 0; sent < FRAMES; sent++) far.send("{}");
  let before = 0;
  let same = 0;
  // Until nothing more is taken in.
  const still = await until(() => {
    same = answered > 0 && answered === before ? same + 1 : 0;
    before = answered;
    return same === 40;
  }, DEADLINE);
  expect([still, answered < FRAMES]).toEqual([true, true]);
  far.terminate();
});

test("a client that asked for the close and doesn't answer it has gone", async () => {
  const { client, far } = await connect({}, 1_000_000);
  far.pause();
  client.closeOnRequest();
  expect(await until(() => client.closedSignal.aborted, DEADLINE)).toBe(true);
  far.terminate();
});

test("what is sent to one that has gone is nobody's fault", async () => {
  const { client, far } = await connect();
  far.terminate();
  await client.send({ type: "exit", code: 0 });
  expect(await until(() => client.closedSignal.aborted, DEADLINE)).toBe(true);
  await client.send({ type: "exit", code: 0 });
  client.close(1000);
});
