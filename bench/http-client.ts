import http from "node:http";
import type { Duplex } from "node:stream";

/** The client for both HTTP sides: node:http with keep-alive and nothing on top. */
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

  /** Sends a request. Resolves with the response when its headers have arrived. */
  open(method: string, path: string, json?: unknown): Promise<http.IncomingMessage> {
    const body = json === undefined ? undefined : JSON.stringify(json);
    const length = body === undefined ? {} : { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) };
    return new Promise((resolve, reject) => {
      const request = http.request({ ...this.target, agent: this.agent, method, path, headers: { ...this.headers, ...length } }, resolve);
      request.on("error", reject);
      request.end(body);
    });
  }

  /** Sends a request and reads the whole response. @throws Error if the status is not one of `expected` */
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

/** Opens an upgraded connection of the Engine API, which carries raw bytes in both directions. */
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

/** Splits the engine's multiplexed stream into standard output and standard error. */
export function demultiplex(bytes: Buffer): { stdout: string; stderr: string } {
  const parts: Record<1 | 2, Buffer[]> = { 1: [], 2: [] };
  for (let at = 0; at + 8 <= bytes.length; ) {
    const length = bytes.readUInt32BE(at + 4);
    parts[bytes[at] === 2 ? 2 : 1].push(bytes.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  return { stdout: Buffer.concat(parts[1]).toString(), stderr: Buffer.concat(parts[2]).toString() };
}
