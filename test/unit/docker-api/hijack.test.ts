import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { duplexPair } from "node:stream";
import fc from "fast-check";
import { joinStreams, readOfferedBody } from "../../../lib/docker-api/hijack";

/** A client's offer, of whose connection `head` has been read; the client has sent `rest` and its end. */
function offerOf(headers: Record<string, string>, head: Buffer, rest: Buffer) {
  const [client, socket] = duplexPair();
  client.end(rest);
  return { request: { headers } as unknown as IncomingMessage, socket, head };
}

const CHUNKED = { "transfer-encoding": "chunked" };
const chunk = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;

describe("readOfferedBody", () => {
  test("reads a body of either framing wherever the connection's bytes are divided, and leaves the input that follows", async () => {
    const text = fc.string({ unit: "grapheme" });
    await fc.assert(
      fc.asyncProperty(fc.array(text), text, fc.boolean(), fc.nat(), async (parts, input, isChunked, division) => {
        const body = parts.join("");
        const sent = isChunked ? `${parts.filter(Boolean).map(chunk).join("")}0\r\n\r\n` : body;
        const bytes = Buffer.from(sent + input);
        const at = division % (bytes.length + 1);
        const headers = isChunked ? CHUNKED : { "content-length": String(Buffer.byteLength(body)) };
        const offer = offerOf(headers, bytes.subarray(0, at), bytes.subarray(at));
        const read = await readOfferedBody(offer, 10_000);
        const [upstream, engine] = duplexPair();
        joinStreams(offer, upstream);
        const rest: Buffer[] = [];
        for await (const each of engine) rest.push(each);
        expect([read.toString(), Buffer.concat(rest).toString()]).toEqual([body, input]);
      }),
    );
  });

  test.each([
    ["is larger than the limit", { "content-length": "11" }, "", "BODY_TOO_LARGE"],
    ["is larger than the limit, in chunks", CHUNKED, chunk("x".repeat(11)), "BODY_TOO_LARGE"],
    ["ends early", { "content-length": "5" }, "abc", "INVALID_BODY"],
    ["ends early, in chunks", CHUNKED, chunk("abc"), "INVALID_BODY"],
    ["is not chunked as it says", CHUNKED, '{"Detach":false}\r\n', "INVALID_BODY"],
  ])("refuses a body that %s", async (_, headers, sent, code) => {
    await expect(readOfferedBody(offerOf(headers, Buffer.from(sent), Buffer.alloc(0)), 10)).rejects.toMatchObject({ code });
  });
});

test.each<[string, net.ListenOptions]>([
  ["TCP", { port: 0, host: "127.0.0.1" }],
  ["a Unix socket", { path: path.join(tmpdir(), `docker-hijack-${process.pid}.sock`) }],
])("the stream of a client over %s is closed when its upstream breaks", async (_, place) => {
  const server = net.createServer();
  await once(server.listen(place), "listening");
  const address = server.address();
  const client = net.connect(typeof address === "object" && address ? { port: address.port } : { path: address as string });
  const closed = new Promise((resolve) => client.on("error", () => undefined).on("close", resolve));
  const [socket] = (await once(server, "connection")) as [net.Socket];
  const [upstream] = duplexPair();
  joinStreams({ request: {} as IncomingMessage, socket, head: Buffer.alloc(0) }, upstream);
  client.resume();
  upstream.destroy();
  await closed;
  await new Promise((resolve) => server.close(resolve));
});
