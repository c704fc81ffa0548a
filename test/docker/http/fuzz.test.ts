import http from "node:http";
import { until } from "../../../scripts/process";
import { Dice, Fuzzer, type FuzzRequest } from "../../support/fuzzer";
import { TOKEN } from "../../support/server";
import { type OneNode, rawExchange, startNode } from "../../support/single-node";

const REQUESTS = 10_000;
const CONCURRENCY = 16;
const RESPONSE_TIMEOUT_MS = 30_000;
/** Longer than --request_timeout. */
const EXCHANGE_TIMEOUT_MS = 8_000;
/** Printed with a failure; set FUZZ_SEED to repeat it. */
const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 1_000_000);

let node: OneNode;
beforeAll(async () => {
  node = await startNode({
    name: "fuzz",
    args: ["--run_wait=1", "--pull_wait=1", "--header_timeout=2", "--request_timeout=5", "--run_pool_memory=0"],
  });
  await node.docker("run", "-d", "--name", "live", "busybox", "sh", "-c", "echo it is; sleep 1000");
  await node.docker("run", "--name", "ended", "busybox", "echo", "it was");
});
afterAll(() => node?.stop());

interface Outcome {
  status: number;
  code: string;
  text: string;
}

function send({ method, path, headers, body }: FuzzRequest, agent: http.Agent): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    // Node's client sets Content-Length only for some methods.
    const length = body === undefined ? {} : { "Content-Length": Buffer.byteLength(body) };
    const all = { Authorization: `Bearer ${TOKEN}`, ...length, ...headers };
    const request = http.request(
      { host: "127.0.0.1", port: node.server.port, agent, method, path, headers: all, timeout: RESPONSE_TIMEOUT_MS },
      async (response) => {
        let text = "";
        try {
          for await (const part of response) text += part;
        } catch (error) {
          return reject(error);
        }
        resolve({ status: response.statusCode ?? 0, code: String(response.headers["x-error-code"] ?? ""), text });
      },
    );
    request.on("timeout", () => request.destroy(new Error("no answer in time")));
    request.on("error", reject);
    request.end(body);
  });
}

test(`${REQUESTS} malformed requests cause no 500, no crash, no hang and no unreported container`, async () => {
  const { pid } = node.server.process;
  const { json: document } = await node.request("GET", "/openapi.json");
  const live = (await node.inspect("live")).Id;
  const fuzzer = new Fuzzer(document, new Dice(SEED), ["live", "ended", "none", "0".repeat(64), live.slice(0, 11), "run", "a"]);
  const agent = new http.Agent({ keepAlive: true, maxSockets: CONCURRENCY });
  const faults: unknown[] = [];
  const reported = new Set(["live", "ended"]);
  const statuses = new Map<number, number>();
  let remaining = REQUESTS;

  async function worker() {
    while (remaining-- > 0) {
      const request = fuzzer.next();
      // The shared containers are neither stopped nor followed.
      const isShared = /^\/(?:containers\/)?(?:live|ended)\b/.test(request.path);
      if (isShared && (request.method === "DELETE" || /follow|stream|\/(?:stop|restart|pause|rename)/.test(request.path))) continue;
      const outcome = await send(request, agent).catch((error: Error) => ({ status: 0, code: error.message, text: "" }));
      statuses.set(outcome.status, (statuses.get(outcome.status) ?? 0) + 1);
      // An unreachable registry is not this server's fault; any other 5xx is.
      const allowed = outcome.status > 0 && (outcome.status < 500 || outcome.code === "REGISTRY_UNREACHABLE");
      if (!allowed) faults.push({ request, outcome });
      // 417 is Node's own response; /mcp may answer in its own protocol.
      const shape = request.path.startsWith("/mcp") ? /^\{"(?:error|jsonrpc)":/ : /^\{"error":/;
      if (outcome.status >= 400 && outcome.status !== 417 && request.method !== "HEAD" && !shape.test(outcome.text))
        faults.push({ request, outcome });
      const name = /"name":"([^"]+)"/.exec(outcome.text)?.[1];
      const names = request.method === "PUT" || (request.method === "POST" && request.path.startsWith("/containers"));
      if (outcome.status < 300 && name !== undefined && names) reported.add(name);
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  agent.destroy();

  expect({ seed: SEED, faults: faults.slice(0, 5), found: faults.length }).toEqual({ seed: SEED, faults: [], found: 0 });
  expect(node.server.process.running() && node.server.process.pid === pid).toBe(true);
  // A run removes its containers after its response.
  const unreported = async () => (await node.names()).filter((name) => !reported.has(name));
  await until(async () => (await unreported()).length === 0, 60_000);
  expect(await unreported()).toEqual([]);
  // The requests were varied.
  for (const status of [200, 400, 404, 405]) expect(statuses.get(status) ?? 0).toBeGreaterThan(50);
  expect((await node.request("GET", "/live")).json).toMatchObject({ stdout: expect.stringContaining("it is\n") });
});

test("500 malformed HTTP streams are answered or closed, and the server keeps running", async () => {
  const { pid } = node.server.process;
  const dice = new Dice(SEED);
  const start = [
    `PUT / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\nConnection: close\r\n`,
    "GET / HTTP/1.0\r\n\r\n",
    "POST /live HTTP/1.1\r\n",
    "",
  ];
  const fragments = [
    "\r\n",
    "\n",
    "\0",
    ":",
    "Content-Length: -1\r\n",
    "Content-Length: 5\r\n\r\n{}",
    "Transfer-Encoding: chunked\r\n\r\n",
    "ffffffff\r\n",
    "0\r\n\r\n",
    "Host: y\r\n",
    " folded\r\n",
    "\xff\xfe",
    "HTTP/9.9",
    "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "Content-Type: application/json\r\n",
  ];
  for (let round = 0; round < 2; round++) {
    const exchanges = Array.from({ length: 250 }, () => {
      const bytes = dice.pick(start) + Array.from({ length: 1 + dice.whole(6) }, () => dice.pick(fragments)).join("");
      return rawExchange(node.server.port, [Buffer.from(bytes, "latin1")], EXCHANGE_TIMEOUT_MS);
    });
    for (const { answer, closed } of await Promise.all(exchanges)) {
      expect(answer === "" ? closed : /^HTTP\/1\.1 [234]\d\d /.test(answer)).toBe(true);
    }
  }
  expect(node.server.process.running() && node.server.process.pid === pid).toBe(true);
  expect((await node.request("GET", "/health")).status).toBe(200);
});
