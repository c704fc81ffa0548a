import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { RequestOptions } from "@modelcontextprotocol/sdk/shared/protocol.js";
import { ask, TOKEN } from "./server";

export type TransportName = "Streamable HTTP" | "SSE";
export const TRANSPORTS: TransportName[] = ["Streamable HTTP", "SSE"];

export interface ToolResult {
  isError: boolean;
  /** the first text */
  text: string;
  texts: string[];
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of many shapes
  json: any;
}

/** Connects the official MCP client to a server. */
export async function connectMcp(url: string, transport: TransportName, token = TOKEN): Promise<Client> {
  const client = new Client({ name: "test", version: "1" });
  const options = { requestInit: { headers: { Authorization: `Bearer ${token}` } } };
  const target = new URL("/mcp", url);
  const connection = transport === "SSE" ? new SSEClientTransport(target, options) : new StreamableHTTPClientTransport(target, options);
  // The SDK's declaration of the optional sessionId conflicts with exactOptionalPropertyTypes.
  await client.connect(connection as Parameters<Client["connect"]>[0]);
  return client;
}

/** Calls a tool; an error of the tool is a result too. */
export async function callTool(client: Client, name: string, args: object = {}, options: RequestOptions = {}): Promise<ToolResult> {
  const result = await client.callTool({ name, arguments: { ...args } }, undefined, options);
  const texts = (result.content as { text: string }[]).map(({ text }) => text);
  return { isError: result.isError === true, text: texts[0] ?? "", texts, json: result.structuredContent };
}

/** Posts one JSON-RPC message without the client. */
export function post(url: string, message: object, headers: Record<string, string> = {}, anonymous = false) {
  return ask(url, "POST", "/mcp", { json: { jsonrpc: "2.0", id: 1, ...message }, headers, anonymous });
}
