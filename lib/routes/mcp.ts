import { z } from "zod";
import { here } from "../cluster/routing/where";
import { AppError, invalidField } from "../errors";
import type { InProcessClient } from "../http/in-process";
import { type Route, type RouteCall, route } from "../http/route";
import type { McpEndpoint, McpService } from "../mcp/mcp-endpoint";
import type { ToolRoute } from "../mcp/tools/declaration";
import { lazyRequire } from "../support/lazy-require";

const id = z.union([z.string(), z.number()]);
const message = z.object({
  jsonrpc: z.literal("2.0"),
  id: id.optional().describe("absent from a notification"),
  method: z.string().optional().describe("such as tools/list or tools/call"),
  params: z.record(z.string(), z.unknown()).optional(),
  result: z.record(z.string(), z.unknown()).optional(),
  error: z.record(z.string(), z.unknown()).optional(),
});
const example = {
  jsonrpc: "2.0",
  id: 1,
  method: "tools/call",
  params: { name: "run_container", arguments: { image: "redis", detach: true } },
};

// The MCP SDK needs more memory than all routes together.
const mcpModule = lazyRequire(() => require("../mcp/mcp-endpoint") as typeof import("../mcp/mcp-endpoint"));

/**
 * The Model Context Protocol, whose tools call routes (lib/mcp/tools).
 * @param routes all routes, and the operations of the proxy
 * @param inProcess sends a tool's request through this server
 */
export function mcpRoutes(routes: () => readonly ToolRoute[], inProcess: InProcessClient, service: McpService): Route[] {
  let endpoint: McpEndpoint | undefined;
  const mcp = (): McpEndpoint => {
    endpoint ??= new (mcpModule().McpEndpoint)(routes(), inProcess, service);
    return endpoint;
  };

  const answer = route({
    method: "post",
    path: "/mcp",
    where: here,
    burst: "none", // each tool call counts against its own route's limit
    permission: null,
    summary: "Model Context Protocol, Streamable HTTP without sessions: one message, answered in the response",
    body: message,
    example,
    responses: {
      200: {
        description: "The answer, as JSON or as events",
        schema: z.union([
          z.object({ jsonrpc: z.literal("2.0"), id, result: z.unknown() }),
          z.object({ jsonrpc: z.literal("2.0"), id, error: z.looseObject({ code: z.number(), message: z.string() }) }),
        ]),
        contentType: "text/event-stream",
      },
      202: { description: "A notification was taken" },
    },
    handler: (call) => mcp().answer(call, call.body, takesEvents(call)),
  });

  const stream = route({
    method: "get",
    path: "/mcp",
    where: here,
    burst: "mid",
    permission: null,
    summary: "Model Context Protocol, the older transport: a stream of events, the first of which names where messages go",
    responses: { 200: { description: "The stream", contentType: "text/event-stream" } },
    handler(call) {
      // Clients of the newer transport probe for this stream, too; it is not needed there.
      const newTransport = call.header("mcp-protocol-version") ?? call.header("mcp-session-id");
      if (newTransport !== undefined)
        throw new AppError("METHOD_NOT_ALLOWED", { message: "Messages go to POST /mcp", details: { allow: "POST" } });
      if (!takesEvents(call)) throw invalidField("Accept", "must be text/event-stream; messages go to POST /mcp");
      return mcp().openStream(call);
    },
  });

  const deliver = route({
    method: "post",
    path: "/mcp/messages",
    where: here,
    burst: "none",
    permission: null,
    summary: "A message of the older transport, answered on its stream",
    query: z.object({ sessionId: z.string() }),
    body: message,
    example,
    responses: { 202: { description: "Taken", contentType: "text/plain" } },
    handler: (call) => mcp().deliver(call, call.query.sessionId, call.body),
  });

  return [answer, stream, deliver];
}

/** Whether the client names event streams explicitly; a client that accepts anything gets JSON. */
function takesEvents(call: RouteCall): boolean {
  return /text\/event-stream/i.test(call.header("accept") ?? "");
}
