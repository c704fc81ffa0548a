import http from "node:http";
import type { AddressInfo } from "node:net";
import { type FlakyServer, flakyServer } from "./redis";

/** The only bucket of a server of `startS3`. */
export const BUCKET = "pool";

/** An S3 server and a log of its requests. */
export interface S3Server extends FlakyServer {
  /** its URL, through the recording proxy */
  endpoint: string;
  /** Method and path of every request since the last call. */
  requests(): string[];
}

/** Environment variables for the AWS credential chain of this process. */
const CREDENTIALS = { AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test", AWS_REGION: "us-east-1" };

/** Starts an S3 server on 127.0.0.1 with one empty bucket, and sets credentials for it in this process's environment. */
export async function startS3(): Promise<S3Server> {
  const server = await flakyServer("s3", "/usr/bin/moto_server", (port) => ["-H", "127.0.0.1", "-p", String(port)]);
  Object.assign(process.env, CREDENTIALS);
  await makeBucket(server.port);
  const seen: string[] = [];
  const proxy = http.createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    const upstream = http.request({ port: server.port, method: request.method, path: request.url, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    upstream.on("error", () => response.destroy());
    response.on("close", () => upstream.destroy());
    request.pipe(upstream);
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  return {
    ...server,
    endpoint: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    requests: () => seen.splice(0),
    async restart() {
      await server.restart();
      await makeBucket(server.port);
    },
    async stop() {
      proxy.closeAllConnections();
      proxy.close();
      await server.stop();
    },
  };
}

async function makeBucket(port: number): Promise<void> {
  const answer = await fetch(`http://127.0.0.1:${port}/${BUCKET}`, { method: "PUT", headers: { authorization: signedBy("s3") } });
  if (!answer.ok) throw new Error(`no bucket: ${answer.status} ${await answer.text()}`);
}

// The server reads the service's name from the signature and verifies nothing.
function signedBy(service: string): string {
  return `AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/${service}/aws4_request, SignedHeaders=host, Signature=0`;
}
