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
import { PERMISSIONS } from "../access/permissions";
import { AppError, errorBody } from "../errors";
import type { InProcessRequest, InProcessResponse } from "../http/in-process";
import type { Tools } from "./tools/tools";

/** Between progress notifications to a client that asked for them. */
const PROGRESS_INTERVAL_MS = 1000;
// Shared: compiling a validator per server would dominate the time of a call.
const jsonSchemaValidator = new AjvJsonSchemaValidator();

/** Sends a tool's request to its route, in the client's name. */
export type SendRequest = (request: Omit<InProcessRequest, "caller">) => Promise<InProcessResponse>;

/** What the model is told of this server before it sees the tools. */
const INSTRUCTIONS = `Runs Docker containers on one or several machines (nodes). A container is found by name or id from anywhere; node pins a request to a machine. To build an app: create_app, write_files, control (start), then http_request to see its page and logs to see why it fails. Commands run without a shell unless they begin with ["sh","-c"]. An answer that says pulling or exit_code null goes on: ask again. Errors have a code and a message that says what would be accepted.`;

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
  const server = new Server(info, { capabilities: { tools: {} }, instructions: instructionsFor(access), jsonSchemaValidator });
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
      return await callTool(params.name, params.arguments ?? {}, signal);
    } catch (error) {
      if (error instanceof McpError) throw error;
      // Other errors are broken connections, which the HTTP layer has logged.
      const known = error instanceof AppError ? error : new AppError("INTERNAL");
      return errorResult(errorBody(known, request_id));
    } finally {
      clearInterval(timer);
    }
  });

  async function callTool(tool: string, args: Record<string, unknown>, signal: AbortSignal): Promise<CallToolResult> {
    // A call that can't be a request passes the app too: there it is audited.
    const refuse = (refusal: AppError) => send({ method: "POST", path: "/mcp", tool: tool.slice(0, 100), refusal, signal });
    let request: Awaited<ReturnType<Tools["toRequest"]>>;
    try {
      request = await tools.toRequest(tool, args);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      return toResult(await refuse(error));
    }
    if (!request) {
      const message = `name: no such tool: ${tool.slice(0, 100)}; there are ${tools.names(access).join(", ")}`;
      await refuse(new AppError("INVALID_INPUT", { message }));
      throw new McpError(ErrorCode.InvalidParams, message);
    }
    const response = await send({ ...request, tool, signal });
    const answer = tools.toAnswer(tool, response, args);
    return answer ? { content: [{ type: "text", text: JSON.stringify(answer) }], structuredContent: { ...answer } } : toResult(response);
  }

  return server;
}

function instructionsFor(access: Access): string {
  const permitted = PERMISSIONS.filter((permission) => access.can(permission));
  return access.isFull ? INSTRUCTIONS : `${INSTRUCTIONS} The token permits: ${permitted.join(", ")}.`;
}

/** An error without `detail`, which repeats its message for clients of FastAPI. */
function errorResult({ detail: _, ...body }: { detail?: string }): CallToolResult {
  return { content: [{ type: "text", text: JSON.stringify(body) }], structuredContent: body, isError: true };
}

/** The error of an answer to HEAD, which has no body. */
function toldByHeaders(status: number, headers: InProcessResponse["headers"]): object {
  return { status, code: headers["x-error-code"], message: headers["x-error-message"] };
}

function toResult({ status, headers, body }: InProcessResponse): CallToolResult {
  if (status >= 400 && body.length === 0) return errorResult(toldByHeaders(status, headers));
  const value: unknown = JSON.parse(body.toString());
  if (status >= 400) return errorResult(value as object);
  // Of the nodes that may hold a container one does: its answer is the tool's.
  const only = Array.isArray(value) && value.length === 1 && headers["x-cluster-missing"] === undefined ? (value[0] as unknown) : value;
  const content: CallToolResult["content"] = [{ type: "text", text: only === value ? body.toString() : JSON.stringify(only) }];
  if (typeof only === "object" && only !== null && !Array.isArray(only)) return { content, structuredContent: { ...only } };
  // Structured content must be an object: a list, and the nodes missing from it, are wrapped in one.
  const missing = headers["x-cluster-missing"];
  if (missing === undefined) return { content, structuredContent: { result: value } };
  content.push({ type: "text", text: `Not complete: no answer from ${missing}` });
  return { content, structuredContent: { result: value, complete: false, missing: String(missing).split(", ") } };
}
