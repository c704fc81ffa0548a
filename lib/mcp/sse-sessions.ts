import type { ServerResponse } from "node:http";
import { PassThrough } from "node:stream";
import type { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { SSEServerTransport } from "@modelcontextprotocol/sdk/server/sse.js";
import { AppError } from "../errors";

/** Between comments on an idle stream: load balancers close streams without traffic. */
const KEEP_ALIVE_INTERVAL_MS = 15_000;

/** The open event streams of the older transport: clients send messages as separate requests and get the answers on their stream. */
export class SseSessions {
  private readonly sessions = new Map<string, { transport: SSEServerTransport; identity: string }>();

  /**
   * Opens a stream.
   * @param identity of the client and its token; messages of other identities are refused
   * @param messagesUrl where the client sends its messages
   * @param streamSignal ends it
   */
  async open(server: Server, identity: string, messagesUrl: string, streamSignal: AbortSignal): Promise<PassThrough> {
    const stream = Object.assign(new PassThrough(), { writeHead: () => undefined });
    const transport = new SSEServerTransport(messagesUrl, stream as unknown as ServerResponse);
    this.sessions.set(transport.sessionId, { transport, identity });
    const timer = setInterval(() => stream.write(": still here\n\n"), KEEP_ALIVE_INTERVAL_MS);
    const end = () => {
      clearInterval(timer);
      this.sessions.delete(transport.sessionId);
      void server.close();
    };
    await server.connect(transport);
    if (streamSignal.aborted) end();
    else streamSignal.addEventListener("abort", end, { once: true });
    return stream;
  }

  /**
   * Handles a client's message; the answer is sent on its stream.
   * @throws AppError SESSION_NOT_FOUND if this client has no such stream, INVALID_BODY
   */
  async deliver(id: string, identity: string, message: object): Promise<void> {
    const session = this.sessions.get(id);
    if (session?.identity !== identity)
      throw new AppError("ROUTE_NOT_FOUND", { clientCode: "SESSION_NOT_FOUND", message: "No such session: open a new one at /mcp" });
    await session.transport.handleMessage(message).catch(() => {
      throw new AppError("INVALID_BODY", { message: "The body is no message of JSON-RPC 2.0" });
    });
  }
}
