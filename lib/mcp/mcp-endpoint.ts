import { WebStandardStreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js";
import { AppError } from "../errors";
import type { InProcessClient } from "../http/in-process";
import { Reply, type RouteCall } from "../http/route";
import { settlesBefore } from "../support/settles-before";
import { createMcpServer } from "./mcp-server";
import { SseSessions } from "./sse-sessions";
import type { ToolRoute } from "./tools/declaration";
import { Tools } from "./tools/tools";

export interface McpService {
  name: string;
  version: string;
  /** this node's name */
  host: string;
}

/** Tells clients apart. Narrowed tokens have one identity, but the stream of a wider one is not theirs. */
const holderOf = ({ caller }: RouteCall) => `${caller.identity} ${caller.access.key}`;

/** Serves the routes as tools of the Model Context Protocol, over both of its HTTP transports. */
export class McpEndpoint {
  private readonly tools: Tools;
  private readonly sessions = new SseSessions();

  /** @param routes all routes, that the tools call */
  constructor(
    routes: readonly ToolRoute[],
    private readonly inProcess: InProcessClient,
    private readonly service: McpService,
  ) {
    this.tools = new Tools(routes);
  }

  /**
   * Answers one message in the response to its own request (Streamable HTTP). No session is kept: any node can take the next message.
   * @param events true: answer as an event stream, which can carry progress; false: as JSON
   */
  async answer(call: RouteCall, message: object, events: boolean): Promise<Reply> {
    const transport = new WebStandardStreamableHTTPServerTransport({ enableJsonResponse: !events });
    const server = this.serverFor(call, call.idempotencyKey);
    await server.connect(transport);
    call.clientSignal.addEventListener("abort", () => void server.close(), { once: true });
    const version = call.header("mcp-protocol-version");
    const request = new Request("http://localhost/mcp", {
      method: "POST",
      headers: {
        // The transport refuses a request that does not accept both; our clients may accept only one.
        Accept: "application/json, text/event-stream",
        "Content-Type": "application/json",
        ...(version === undefined ? {} : { "MCP-Protocol-Version": version }),
      },
    });
    const pending = transport.handleRequest(request, { parsedBody: message });
    if (!(await settlesBefore(pending, call.clientSignal))) throw new AppError("ABANDONED");
    const { status, headers, body } = await pending;
    headers.delete("connection");
    return new Reply(status, body as AsyncIterable<Buffer> | null, Object.fromEntries(headers));
  }

  /** Opens an event stream of the older transport (HTTP with SSE). */
  async openStream(call: RouteCall): Promise<Reply> {
    // The stream belongs to this node: `?node=` forwards its messages here from any node.
    const messages = `/mcp/messages?node=${encodeURIComponent(this.service.host)}`;
    const stream = await this.sessions.open(this.serverFor(call), holderOf(call), messages, call.streamSignal);
    const headers = { "Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no" };
    return new Reply(200, stream, headers);
  }

  /** Accepts a message of the older transport. */
  async deliver(call: RouteCall, id: string, message: object): Promise<Reply> {
    await this.sessions.deliver(id, holderOf(call), message);
    return new Reply(202, "Accepted");
  }

  private serverFor({ caller }: RouteCall, key?: string) {
    const headers: Record<string, string> = key === undefined ? {} : { "Idempotency-Key": key };
    return createMcpServer(
      this.tools,
      { name: this.service.name, version: this.service.version },
      (request) => this.inProcess.send({ ...request, headers: { ...headers, ...request.headers }, caller }),
      caller,
    );
  }
}
