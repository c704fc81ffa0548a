import http from "node:http";
import { until } from "../../../scripts/process";
import { Dice, Fuzzer, type FuzzRequest } from "../../support/fuzzer";
import { type OneNode, rawExchange, startNode } from "../../support/one-node";
import { TOKEN } from "../../support/server";

const REQUESTS = 10_000;
const AT_A_TIME = 16;
const PATIENCE = 30_000;
const LONGER_THAN_REQUEST_TIMEOUT = 8_000;
/** Printed when something is found; set it to see the same again. */
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
    // Node's client tells the length of some methods' bodies only.
    const length = body === undefined ? {} : { "Content-Length": Buffer.byteLength(body) };
    const all = { Authorization: `Bearer ${TOKEN}`, ...length, ...headers };
    const request = http.request(
      { host: "127.0.0.1", port: node.server.port, agent, method, path, headers: all, timeout: PATIENCE },
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
  const agent = new http.Agent({ keepAlive: true, maxSockets: AT_A_TIME });
  const faults: unknown[] = [];
  const told = new Set(["live", "ended"]);
  const statuses = new Map<number, number>();
  let left = REQUESTS;

  async function worker() {
    while (left-- > 0) {
      const request = fuzzer.next();
      // One container stays, and is not followed for as long as it runs.
      const place = /^\/(?:containers\/)?(?:live|ended)\b/.test(request.path);
      if (place && (request.method === "DELETE" || /follow|stream|\/(?:stop|restart|pause|rename)/.test(request.path))) continue;
      const outcome = await send(request, agent).catch((error: Error) => ({ status: 0, code: error.message, text: "" }));
      statuses.set(outcome.status, (statuses.get(outcome.status) ?? 0) + 1);
      // A registry that isn't there is no fault of this server, and the engine fails at nothing else here.
      const allowed = outcome.status > 0 && (outcome.status < 500 || outcome.code === "REGISTRY_UNREACHABLE");
      if (!allowed) faults.push({ request, outcome });
      // 417 is Node's own.
      // What /mcp was sent may be answered in its own protocol.
      const shape = request.path.startsWith("/mcp") ? /^\{"(?:error|jsonrpc)":/ : /^\{"error":/;
      if (outcome.status >= 400 && outcome.status !== 417 && request.method !== "HEAD" && !shape.test(outcome.text))
        faults.push({ request, outcome });
      const name = /"name":"([^"]+)"/.exec(outcome.text)?.[1];
      const names = request.method === "PUT" || (request.method === "POST" && request.path.startsWith("/containers"));
      if (outcome.status < 300 && name !== undefined && names) told.add(name);
    }
  }
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
  agent.destroy();

  expect({ seed: SEED, faults: faults.slice(0, 5), found: faults.length }).toEqual({ seed: SEED, faults: [], found: 0 });
  expect(node.server.process.running() && node.server.process.pid === pid).toBe(true);
  // What a run has made goes after its answer.
  const untold = async () => (await node.names()).filter((name) => !told.has(name));
  await until(async () => (await untold()).length === 0, 60_000);
  expect(await untold()).toEqual([]);
  // That it tried many things, and not one thing many times.
  for (const status of [200, 400, 404, 405]) expect(statuses.get(status) ?? 0).toBeGreaterThan(50);
  expect((await node.request("GET", "/live")).json).toMatchObject({ stdout: expect.stringContaining("it is\n") });
}, 180_000);

test("500 malformed HTTP streams are answered or closed, and the server keeps running", async () => {
  const { pid } = node.server.process;
  const dice = new Dice(SEED);
  const start = [
    `PUT / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\nConnection: close\r\n`,
    "GET / HTTP/1.0\r\n\r\n",
    "POST /live HTTP/1.1\r\n",
    "",
  ];
  const pieces = [
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
      const bytes = dice.pick(start) + Array.from({ length: 1 + dice.whole(6) }, () => dice.pick(pieces)).join("");
      return rawExchange(node.server.port, [Buffer.from(bytes, "latin1")], LONGER_THAN_REQUEST_TIMEOUT);
    });
    for (const { answer, closed } of await Promise.all(exchanges)) {
      expect(answer === "" ? closed : /^HTTP\/1\.1 [234]\d\d /.test(answer)).toBe(true);
    }
  }
  expect(node.server.process.running() && node.server.process.pid === pid).toBe(true);
  expect((await node.request("GET", "/health")).status).toBe(200);
}, 120_000);
