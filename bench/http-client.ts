import http from "node:http";
import type { Duplex } from "node:stream";

/** What both HTTP sides are asked with: node:http on kept-alive connections, nothing above it. */
export class HttpClient {
  private readonly agent = new http.Agent({ keepAlive: true });

  /**
   * @param target a unix socket, or host and port
   * @param headers sent with every request
   */
  constructor(
    private readonly target: { socketPath: string } | { host: string; port: number },
    private readonly headers: Record<string, string> = {},
  ) {}

  /** Resolves with the answer as soon as its headers are there. */
  open(method: string, path: string, json?: unknown): Promise<http.IncomingMessage> {
    const body = json === undefined ? undefined : JSON.stringify(json);
    const length = body === undefined ? {} : { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) };
    return new Promise((resolve, reject) => {
      const request = http.request({ ...this.target, agent: this.agent, method, path, headers: { ...this.headers, ...length } }, resolve);
      request.on("error", reject);
      request.end(body);
    });
  }

  /** One request with its whole answer. Throws an Error if its status is none of `expected`. */
  async ask(method: string, path: string, json?: unknown, expected: number[] = [200, 201, 204]): Promise<Buffer> {
    const response = await this.open(method, path, json);
    const body = await wholeBody(response);
    if (!expected.includes(response.statusCode as number)) throw new Error(`${method} ${path}: ${response.statusCode} ${body}`);
    return body;
  }

  async askJson(method: string, path: string, json?: unknown): Promise<Record<string, unknown>> {
    return JSON.parse((await this.ask(method, path, json)).toString());
  }

  close(): void {
    this.agent.destroy();
  }
}

/** A connection of the Engine API that goes on as bytes both ways. */
export function upgraded(socketPath: string, path: string, json?: object): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const headers = { Connection: "Upgrade", Upgrade: "tcp", ...(json ? { "Content-Type": "application/json" } : {}) };
    const request = http.request({ socketPath, method: "POST", path, headers });
    request.on("upgrade", (_response, socket, head) => {
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    request.on("response", ({ statusCode }) => reject(new Error(`POST ${path}: ${statusCode}`)));
    request.on("error", reject);
    request.end(json && JSON.stringify(json));
  });
}

export async function wholeBody(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Standard output and standard error out of what the engine multiplexes on one connection. */
export function demultiplex(bytes: Buffer): { stdout: string; stderr: string } {
  const parts: Record<1 | 2, Buffer[]> = { 1: [], 2: [] };
  for (let at = 0; at + 8 <= bytes.length; ) {
    const length = bytes.readUInt32BE(at + 4);
    parts[bytes[at] === 2 ? 2 : 1].push(bytes.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  return { stdout: Buffer.concat(parts[1]).toString(), stderr: Buffer.concat(parts[2]).toString() };
}
