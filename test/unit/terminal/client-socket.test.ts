import { once } from "node:events";
import type { AddressInfo } from "node:net";
import WebSocket, { WebSocketServer } from "ws";
import { ClientSocket } from "../../../lib/terminal/client-socket";
import { until } from "../../../scripts/process";
import { quietLog } from "../../support/unit/quiet-log";

const PING_INTERVAL_MS = 100;
const DEADLINE_MS = 30_000;
const STALL_MS = 1000;

let server: WebSocketServer;
beforeAll(async () => {
  server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
});
afterAll(() => {
  for (const socket of server.clients) socket.terminate();
  server.close();
});

/** A connected pair: the server's ClientSocket and the client's own WebSocket. */
async function connect(options: WebSocket.ClientOptions = {}, pingIntervalMs = PING_INTERVAL_MS) {
  const remoteSocket = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, options);
  const [[socket]] = await Promise.all([once(server, "connection"), once(remoteSocket, "open")]);
  let pings = 0;
  remoteSocket.on("ping", () => {
    pings += 1;
  });
  return { remoteSocket, client: new ClientSocket(socket, "an-id", quietLog().log, pingIntervalMs), pings: () => pings };
}

describe("ClientSocket", () => {
  test("a silent client that answers pings stays connected", async () => {
    const { client, remoteSocket, pings } = await connect();
    expect(await until(() => pings() > 10, DEADLINE_MS)).toBe(true);
    expect(client.closedSignal.aborted).toBe(false);
    remoteSocket.terminate();
    expect(await until(() => client.closedSignal.aborted, DEADLINE_MS)).toBe(true);
  });

  test("a client that answers no pings is disconnected", async () => {
    const { client } = await connect({ autoPong: false });
    expect(await until(() => client.closedSignal.aborted, DEADLINE_MS)).toBe(true);
  });

  test("a paused client is not disconnected for its silence, but a lost connection is detected", async () => {
    const { client, remoteSocket, pings } = await connect();
    client.pause();
    expect(await until(() => pings() > 10, DEADLINE_MS)).toBe(true);
    expect(client.closedSignal.aborted).toBe(false);
    remoteSocket.terminate();
    expect(await until(() => client.closedSignal.aborted, DEADLINE_MS)).toBe(true);
  });

  test("messages are handled one at a time in order, and unreadable ones are answered with an error", async () => {
    const { client, remoteSocket } = await connect();
    let active = 0;
    let maxActive = 0;
    const handled: number[] = [];
    client.onMessage(async (message) => {
      active += 1;
      maxActive = Math.max(maxActive, active);
      await new Promise((resolve) => setImmediate(resolve));
      if (message.type === "resize") handled.push(message.cols);
      active -= 1;
    });
    const answers: string[] = [];
    remoteSocket.on("message", (data) => answers.push(String(data)));
    const columns = Array.from({ length: 1000 }, (_, index) => index + 1);
    for (const cols of columns) remoteSocket.send(JSON.stringify({ type: "resize", cols, rows: 1 }));
    remoteSocket.send("not JSON");
    expect(await until(() => answers.length > 0, DEADLINE_MS)).toBe(true);
    expect([handled, maxActive]).toEqual([columns, 1]);
    expect(JSON.parse(answers[0] as string)).toMatchObject({ type: "error", error: { code: "INVALID_BODY" } });
    remoteSocket.terminate();
  });

  test("unreadable messages of a client that reads no answers do not accumulate in memory", async () => {
    const { client, remoteSocket } = await connect({}, 1_000_000);
    client.onMessage(() => undefined);
    let answered = 0;
    const sendError = client.sendError.bind(client);
    jest.spyOn(client, "sendError").mockImplementation((error) => {
      answered += 1;
      return sendError(error);
    });
    remoteSocket.pause();
    const FRAMES = 120_000;
    for (let sent = 0; sent < FRAMES; sent++) remoteSocket.send("{}");
    let before = 0;
    let unchangedSince = 0;
    // Wait until the server stops reading.
    const stalled = await until(() => {
      if (answered === 0 || answered !== before) unchangedSince = performance.now();
      before = answered;
      return performance.now() - unchangedSince > STALL_MS;
    }, DEADLINE_MS);
    expect([stalled, answered < FRAMES]).toEqual([true, true]);
    remoteSocket.terminate();
  });

  test("a client that sent close and does not answer the close frame is disconnected", async () => {
    const { client, remoteSocket } = await connect({}, 1_000_000);
    remoteSocket.pause();
    client.closeOnRequest();
    expect(await until(() => client.closedSignal.aborted, DEADLINE_MS)).toBe(true);
    remoteSocket.terminate();
  });

  test("sending to a closed connection raises no error", async () => {
    const { client, remoteSocket } = await connect();
    remoteSocket.terminate();
    await client.send({ type: "exit", code: 0 });
    expect(await until(() => client.closedSignal.aborted, DEADLINE_MS)).toBe(true);
    await client.send({ type: "exit", code: 0 });
    client.close(1000);
  });
});
