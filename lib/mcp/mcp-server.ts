import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import {
  CallToolRequestSchema,
  type CallToolResult,
  ErrorCode,
  ListToolsRequestSchema,
  McpError,
} from "@modelcontextprotocol/sdk/types.js";
import { AjvJsonSchemaValidator } from "@modelcontextprotocol/sdk/validation/ajv";
import type { Access } from "../access/access";
import { AppError, errorBody } from "../errors";
import type { InProcessResponse } from "../http/in-process";
import type { ToolRequest, Tools } from "./tools";

/** Between progress notifications to a client that asked for them. */
const PROGRESS_INTERVAL_MS = 1000;
// Shared: compiling a validator per server would dominate the time of a call.
const jsonSchemaValidator = new AjvJsonSchemaValidator();

/** Sends a tool's request to its route. */
export type SendRequest = (request: ToolRequest, signal: AbortSignal) => Promise<InProcessResponse>;

/**
 * Creates the SDK's server for one connection of a client.
 * @param info name and version of this server
 * @param send sends a tool's request to its route
 * @param caller request_id: for errors that no route answered; access: what the client may do
 */
export function createMcpServer(
  tools: Tools,
  info: { name: string; version: string },
  send: SendRequest,
  { request_id, access }: { request_id: string; access: Access },
): Server {
  const server = new Server(info, { capabilities: { tools: {} }, jsonSchemaValidator });
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: tools.list(access) }));
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, { signal, sendNotification, _meta }) => {
    const progressToken = _meta?.progressToken;
    const startedAt = performance.now();
    const report = () => {
      const progress = Math.round((performance.now() - startedAt) / 1000);
      const progressParams = { progressToken: progressToken ?? "", progress, message: `${params.name} goes on since ${progress} s` };
      sendNotification({ method: "notifications/progress", params: progressParams }).catch(() => undefined); // the client disconnected
    };
    const timer = progressToken === undefined ? undefined : setInterval(report, PROGRESS_INTERVAL_MS);
    try {
      const request = tools.toRequest(params.name, params.arguments ?? {});
      if (!request)
        throw new McpError(ErrorCode.InvalidParams, `name: no such tool: ${params.name}; there are ${tools.names(access).join(", ")}`);
      return toResult(await send(request, signal));
    } catch (error) {
      if (error instanceof McpError) throw error;
      // Other errors are broken connections, which the HTTP layer has logged.
      const known = error instanceof AppError ? error : new AppError("INTERNAL");
      return errorResult(errorBody(known, request_id));
    } finally {
      clearInterval(timer);
    }
  });
  return server;
}

function errorResult(body: object): CallToolResult {
  return { content: [{ type: "text", text: JSON.stringify(body) }], structuredContent: { ...body }, isError: true };
}

function toResult({ status, headers, body }: InProcessResponse): CallToolResult {
  const content: CallToolResult["content"] = [{ type: "text", text: body.toString() }];
  const outcome = status >= 400 ? { isError: true } : {};
  if (!headers["content-type"]?.startsWith("application/json")) return { content, ...outcome };
  const value: unknown = JSON.parse(body.toString());
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return { content, structuredContent: { ...value }, ...outcome };
  // Structured content must be an object: a list, and the nodes missing from it, are wrapped in one.
  const missing = headers["x-cluster-missing"];
  if (missing === undefined) return { content, structuredContent: { result: value }, ...outcome };
  content.push({ type: "text", text: `Not complete: no answer from ${missing}` });
  return { content, structuredContent: { result: value, complete: false, missing: String(missing).split(", ") }, ...outcome };
}
