import { once } from "node:events";
import http, { type ServerResponse } from "node:http";
import net, { type AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { Reply } from "../../../lib/http/route";
import { sendReply } from "../../../lib/http/send-reply";
import { until } from "../../../scripts/process";

const servers: http.Server[] = [];
afterEach(() => {
  jest.useRealTimers();
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

/** Sends pipelined requests on one connection, whose client reads nothing; returns the server's responses. */
async function pipelined(count: number): Promise<{ responses: ServerResponse[]; client: net.Socket }> {
  const responses: ServerResponse[] = [];
  const server = http.createServer((_request, response) => void responses.push(response)).listen(0, "127.0.0.1");
  servers.push(server);
  await once(server, "listening");
  const client = net.connect((server.address() as AddressInfo).port, "127.0.0.1");
  client.on("error", () => undefined);
  client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(count));
  while (responses.length < count) await once(server, "request");
  return { responses, client };
}

/** A body that never ends: it sends `chunks` large chunks and then nothing. */
function endless(chunks: number): Readable {
  let remaining = chunks;
  return new Readable({
    read() {
      if (remaining-- > 0) this.push(Buffer.alloc(1_000_000));
    },
  });
}

const neverAborted = () => new AbortController().signal;
const last = (responses: ServerResponse[]) => responses.at(-1) as ServerResponse;

describe("sendReply", () => {
  test("an object with a long text is sent in pieces, as JSON", async () => {
    const body = { exit_code: 0, stdout: "a\u0001".repeat(1_000_000) };
    const server = http
      .createServer((_request, response) => void sendReply(response, new Reply(200, body), neverAborted))
      .listen(0, "127.0.0.1");
    servers.push(server);
    await once(server, "listening");
    const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    expect([response.headers.get("content-type"), response.headers.get("content-length")]).toEqual([
      "application/json; charset=utf-8",
      null,
    ]);
    expect(await response.json()).toEqual(body);
  });

  test("a stream to a response that is destroyed already ends at once", async () => {
    const { responses } = await pipelined(1);
    const closed = once(last(responses), "close");
    last(responses).destroy();
    await closed;
    const body = endless(3);
    await sendReply(last(responses), new Reply(200, body), neverAborted);
    expect(body.destroyed).toBe(true);
  });

  test("a stream ends when its stalled client disconnects, also if the response is queued behind another", async () => {
    for (const count of [1, 2]) {
      const { responses, client } = await pipelined(count);
      const disconnected = new AbortController();
      responses[0]?.socket?.once("close", () => disconnected.abort());
      const body = endless(100);
      const answering = sendReply(last(responses), new Reply(200, body), () => disconnected.signal);
      expect(await until(() => last(responses).writableNeedDrain, 10_000)).toBe(true);
      client.destroy();
      await answering;
      expect(body.destroyed).toBe(true);
    }
  });

  test("a client that reads nothing for five minutes is disconnected and its stream ends, and not before: one at 20 kB/s seems to read nothing for 80 s", async () => {
    for (const count of [1, 2]) {
      const { responses } = await pipelined(count);
      jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate"] });
      const body = endless(1);
      body.push(Buffer.alloc(20_000_000));
      const answering = sendReply(last(responses), new Reply(200, body), neverAborted);
      await jest.advanceTimersByTimeAsync(299_000);
      expect(last(responses).destroyed).toBe(false);
      await jest.advanceTimersByTimeAsync(2000);
      await answering;
      expect(body.destroyed).toBe(true);
      expect(last(responses).destroyed).toBe(true);
      expect(jest.getTimerCount()).toBe(0);
      jest.useRealTimers();
    }
  });
});
