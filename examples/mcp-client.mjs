// The same work twice: over REST, and as tools of the Model Context Protocol.
//   TOKEN=… node examples/mcp-client.mjs http://localhost:1717 [image] [--sse]
// The image must have a shell. `--sse` uses the older transport.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const { values, rest } = readArguments(process.argv.slice(2));
const [server = "http://localhost:1717", image = "busybox"] = rest;
const headers = { Authorization: `Bearer ${process.env.TOKEN ?? ""}` };

try {
  await overRest();
  await overMcp();
} catch (error) {
  console.error(`With the image ${image}: ${error.message}`);
  process.exitCode = 1;
}

async function overRest() {
  const response = await fetch(`${server}/`, {
    method: "PUT",
    headers: { ...headers, "Content-Type": "application/json" },
    body: JSON.stringify({ image, data: ["echo", "Hello from REST!"], remove: true }),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.message);
  console.log(`REST said: ${answer.stdout.trim()}`);
}

async function overMcp() {
  const Transport = values.sse ? SSEClientTransport : StreamableHTTPClientTransport;
  const client = new Client({ name: "mcp-client-example", version: "1.0.0" });
  await client.connect(new Transport(new URL("/mcp", server), { requestInit: { headers } }));
  try {
    const { tools } = await client.listTools();
    console.log(`Tools: ${tools.map(({ name }) => name).join(", ")}`);
    const { status } = await call(client, "health", {});
    console.log(`Health: ${status}`);
    const { id } = await call(client, "run_container", { image, command: ["sleep", "600"] });
    try {
      // The server reports progress every second, in the response to the call itself.
      const onprogress = ({ message }) => console.log(message);
      const executed = await call(client, "exec", { id, command: ["sh", "-c", "sleep 2; echo Hello from MCP!"] }, { onprogress });
      console.log(`MCP said: ${executed.stdout.trim()}`);
    } finally {
      await call(client, "remove", { id });
    }
  } finally {
    await client.close();
  }
}

/** Calls a tool. @returns its structured answer; @throws Error with the tool's error */
async function call(client, name, args, options) {
  const result = await client.callTool({ name, arguments: args }, undefined, options);
  if (result.isError) throw new Error(`${name}: ${result.content[0].text}`);
  return result.structuredContent;
}

function readArguments(words) {
  return { values: { sse: words.includes("--sse") }, rest: words.filter((word) => !word.startsWith("--")) };
}
