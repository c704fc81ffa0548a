import { WebStandardStreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js";
import { AppError } from "../errors";
import type { InProcessClient } from "../http/in-process";
import { Reply, type Route, type RouteCall } from "../http/route";
import { settlesBefore } from "../support/settles-before";
import { createMcpServer } from "./mcp-server";
import { SseSessions } from "./sse-sessions";
import { Tools } from "./tools";

export interface McpService {
  name: string;
  version: string;
  /** this node */
  host: string;
}

/** The routes as tools of the Model Context Protocol, over both of its HTTP transports. */
export class McpEndpoint {
  private readonly tools: Tools;
  private readonly sessions = new SseSessions();

  /** @param routes all of them: those that name a tool are tools */
  constructor(
    routes: Route[],
    private readonly inProcess: InProcessClient,
    private readonly service: McpService,
  ) {
    this.tools = new Tools(routes);
  }

  /**
   * Answers a message in the response to its own request: nothing is kept, so that the next one may go to any node.
   * @param events whether as events, among which there may be news of its progress, or as JSON
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
        // Clients that take only one of them are answered too.
        Accept: "application/json, text/event-stream",
        "Content-Type": "application/json",
        ...(version === undefined ? {} : { "MCP-Protocol-Version": version }),
      },
    });
    const answering = transport.handleRequest(request, { parsedBody: message });
    if (!(await settlesBefore(answering, call.clientSignal))) throw new AppError("ABANDONED");
    const { status, headers, body } = await answering;
    headers.delete("connection");
    return new Reply(status, body as AsyncIterable<Buffer> | null, Object.fromEntries(headers));
  }

  /** Opens a stream of the older transport. */
  async openStream(call: RouteCall): Promise<Reply> {
    // The stream is of this node: its messages must come here, through whichever node.
    const messages = `/mcp/messages?node=${encodeURIComponent(this.service.host)}`;
    const stream = await this.sessions.open(this.serverFor(call), call.caller.identity, messages, call.streamSignal);
    const headers = { "Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no" };
    return new Reply(200, stream, headers);
  }

  /** Takes a message of a stream's client. */
  async deliver(call: RouteCall, id: string, message: object): Promise<Reply> {
    await this.sessions.deliver(id, call.caller.identity, message);
    return new Reply(202, "Accepted");
  }

  private serverFor({ caller }: RouteCall, key?: string) {
    const headers: Record<string, string> = key === undefined ? {} : { "Idempotency-Key": key };
    return createMcpServer(
      this.tools,
      { name: this.service.name, version: this.service.version },
      (request, signal) => this.inProcess.send({ ...request, headers, caller, signal }),
      caller.request_id,
    );
  }
}
