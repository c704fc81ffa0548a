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

/** The official client, connected to a server. */
export async function connectMcp(url: string, transport: TransportName, token = TOKEN): Promise<Client> {
  const client = new Client({ name: "test", version: "1" });
  const options = { requestInit: { headers: { Authorization: `Bearer ${token}` } } };
  const target = new URL("/mcp", url);
  const made = transport === "SSE" ? new SSEClientTransport(target, options) : new StreamableHTTPClientTransport(target, options);
  // Its optional sessionId is declared in a way that exactOptionalPropertyTypes refuses.
  await client.connect(made as Parameters<Client["connect"]>[0]);
  return client;
}

/** Calls a tool; an answered error is a result, too. */
export async function callTool(client: Client, name: string, args: object = {}, options: RequestOptions = {}): Promise<ToolResult> {
  const result = await client.callTool({ name, arguments: { ...args } }, undefined, options);
  const texts = (result.content as { text: string }[]).map(({ text }) => text);
  return { isError: result.isError === true, text: texts[0] ?? "", texts, json: result.structuredContent };
}

/** One message, posted as it is, and answered as JSON. */
export function post(url: string, message: object, headers: Record<string, string> = {}, anonymous = false) {
  return ask(url, "POST", "/mcp", { json: { jsonrpc: "2.0", id: 1, ...message }, headers, anonymous });
}
