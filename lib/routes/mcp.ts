import { z } from "zod";
import { here } from "../cluster/routing/where";
import { AppError, invalidField } from "../errors";
import type { InProcessClient } from "../http/in-process";
import { type Route, type RouteCall, route } from "../http/route";
import type { McpEndpoint, McpService } from "../mcp/mcp-endpoint";

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

/**
 * The routes that are tools, as the Model Context Protocol has them.
 * @param routes all of them
 * @param inside answers a tool's call as any request
 */
export function mcpRoutes(routes: Route[], inside: InProcessClient, service: McpService): Route[] {
  let loaded: McpEndpoint | undefined;
  const mcp = (): McpEndpoint => {
    loaded ??= load(routes, inside, service);
    return loaded;
  };

  const answer = route({
    method: "post",
    path: "/mcp",
    where: here,
    burst: "none", // each tool spends its route's own
    summary: "Model Context Protocol, Streamable HTTP without sessions: one message, answered in the response",
    body: message,
    example,
    answers: {
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
    summary: "Model Context Protocol, the older transport: a stream of events, the first of which names where messages go",
    answers: { 200: { description: "The stream", contentType: "text/event-stream" } },
    handler(call) {
      // A client of the newer transport asks whether there is such a stream, too: it needs none.
      const newer = call.header("mcp-protocol-version") ?? call.header("mcp-session-id");
      if (newer !== undefined)
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
    summary: "A message of the older transport, answered on its stream",
    query: z.object({ sessionId: z.string() }),
    body: message,
    example,
    answers: { 202: { description: "Taken", contentType: "text/plain" } },
    handler: (call) => mcp().deliver(call, call.query.sessionId, call.body),
  });

  return [answer, stream, deliver];
}

/** Whether the client says so; who takes anything at all is better served with JSON. */
function takesEvents(call: RouteCall): boolean {
  return /text\/event-stream/i.test(call.header("accept") ?? "");
}

// The SDK takes more memory than all routes: it is loaded when somebody speaks to it.
function load(...parts: ConstructorParameters<typeof McpEndpoint>): McpEndpoint {
  const { Mcp: Loaded } = require("../mcp/mcp-endpoint") as typeof import("../mcp/mcp-endpoint");
  return new Loaded(...parts);
}
