import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import {
  CallToolRequestSchema,
  type CallToolResult,
  ErrorCode,
  ListToolsRequestSchema,
  McpError,
} from "@modelcontextprotocol/sdk/types.js";
import { AjvJsonSchemaValidator } from "@modelcontextprotocol/sdk/validation/ajv";
import { AppError, errorBody } from "../errors";
import type { InProcessResponse } from "../http/in-process";
import type { ToolRequest, Tools } from "./tools";

/** How often (ms) a client that asked for it hears that its call goes on. */
const PROGRESS_INTERVAL_MS = 1000;
// Each server would make its own, which takes longer than all the rest of a call.
const jsonSchemaValidator = new AjvJsonSchemaValidator();

/** Takes a tool's request where it is answered. */
export type SendRequest = (request: ToolRequest, signal: AbortSignal) => Promise<InProcessResponse>;

/**
 * Makes the SDK's server for one connection of a client.
 * @param info name and version
 * @param request_id for errors that no route has answered
 */
export function createMcpServer(tools: Tools, info: { name: string; version: string }, ask: SendRequest, request_id: string): Server {
  const server = new Server(info, { capabilities: { tools: {} }, jsonSchemaValidator });
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: tools.list() }));
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, { signal, sendNotification, _meta }) => {
    const progressToken = _meta?.progressToken;
    const startedAt = performance.now();
    const report = () => {
      const progress = Math.round((performance.now() - startedAt) / 1000);
      const told = { progressToken: progressToken ?? "", progress, message: `${params.name} goes on since ${progress} s` };
      sendNotification({ method: "notifications/progress", params: told }).catch(() => undefined); // it has gone
    };
    const timer = progressToken === undefined ? undefined : setInterval(report, PROGRESS_INTERVAL_MS);
    try {
      const request = tools.toRequest(params.name, params.arguments ?? {});
      if (!request) throw new McpError(ErrorCode.InvalidParams, `name: no such tool: ${params.name}; there are ${tools.names.join(", ")}`);
      return toResult(await ask(request, signal));
    } catch (error) {
      if (error instanceof McpError) throw error;
      // Any other than our own is a pipe that broke, as the app has logged.
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
  // A list can't be structured content by itself, nor can it say that it isn't complete.
  const missing = headers["x-cluster-missing"];
  if (missing === undefined) return { content, structuredContent: { result: value }, ...outcome };
  content.push({ type: "text", text: `Not complete: no answer from ${missing}` });
  return { content, structuredContent: { result: value, complete: false, missing: String(missing).split(", ") }, ...outcome };
}
