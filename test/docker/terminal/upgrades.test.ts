import { randomBytes } from "node:crypto";
import { until } from "../../../scripts/process";
import { connectRaw, head, type RawConnection } from "../../support/raw-http";
import { TOKEN } from "../../support/server";
import { auditEntries, everythingLogged, type OneNode, startNode } from "../../support/single-node";
import { type OpenOptions, openTerminal, type TestTerminal } from "../../support/terminal";

const DEADLINE_MS = 20_000;
const ALLOWED = "https://pages.example:8443";

let node: OneNode;
const terminals: TestTerminal[] = [];
const connections: RawConnection[] = [];
beforeAll(async () => {
  node = await startNode({ name: "terminals-refused", args: ["--trust_proxy=1", "--cors_origin", ALLOWED] });
  await node.docker("run", "-d", "--name", "box", "busybox", "sleep", "100000");
});
afterEach(async () => {
  for (const { socket } of terminals.splice(0)) socket.terminate();
  for (const connection of connections.splice(0)) connection.end();
  expect(node.server.process.running()).toBe(true);
  expect((await node.request("GET", "/")).status).toBe(200);
  expect(node.server.output()).not.toMatch(/FATAL|Unhandled promise rejection|Warning/);
});
afterAll(() => node?.stop());

async function open(pathname: string, options?: OpenOptions): Promise<TestTerminal> {
  const terminal = await openTerminal(node.server.url, pathname, options);
  terminals.push(terminal);
  return terminal;
}
const refused = (pathname: string, options?: OpenOptions) => expect(open(pathname, options)).rejects;

const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;

describe("an upgrade request", () => {
  test.each<[string, Record<string, string>]>([
    ["Bearer", { Authorization: `Bearer ${TOKEN}` }],
    ["Basic", { Authorization: basic(TOKEN) }],
    ["Basic in lower case", { Authorization: basic(TOKEN).replace("Basic", "basic") }],
    ["X-Access-Token", { "X-Access-Token": TOKEN }],
  ])("is accepted with credentials as %s", async (_form, headers) => {
    const terminal = await open("/ws/box?tty=false", { anonymous: true, headers });
    terminal.type("exit\n");
    expect((await terminal.gets("exit")).code).toBe(0);
  });

  test("is refused with a plain HTTP response, as other requests", async () => {
    await node.docker("run", "--name", "ended", "busybox", "true");
    await node.docker("run", "-d", "--name", "paused", "busybox", "sleep", "1000");
    await node.docker("pause", "paused");
    await refused("/ws/box", { anonymous: true }).toThrow(/^401 .*MISSING_CREDENTIALS/);
    await refused("/ws/box", { headers: { Authorization: "Bearer wrong" } }).toThrow(/^401 .*WRONG_CREDENTIALS/);
    await refused("/ws/none").toThrow(/^404 .*CONTAINER_NOT_FOUND/);
    await refused("/ws/-v").toThrow(/^400 .*INVALID_ID/);
    await refused("/ws/ended").toThrow(/^409 .*NOT_RUNNING/);
    await refused("/ws/paused").toThrow(/^409 .*NOT_RUNNING/);
    for (const query of ["cols=0", "rows=-1", "cols=10001", "cols=a", "cols=", "tty=perhaps", "shell=bash", "cols=1&cols=2"])
      await refused(`/ws/box?${query}`).toThrow(/^400 /);
    const audited = () => auditEntries(node.server).flatMap(({ path, status }) => (path.startsWith("/ws/") ? [status] : []));
    // The audit entry is written after the response.
    expect(await until(() => [401, 404, 400, 409].every((status) => audited().includes(status)), DEADLINE_MS)).toBe(true);
  });

  test("is refused from another origin, and accepted from this server's own pages", async () => {
    const { host, port } = { host: new URL(node.server.url).host, port: node.server.port };
    for (const origin of [
      "http://evil.example",
      `http://evil.example:${port}`,
      "null",
      "file://",
      `http://${host}.evil.example`,
      "nonsense",
    ])
      await refused("/ws/box", { origin }).toThrow(/^403 .*CROSS_SITE/);
    await open("/ws/box", { origin: `http://${host}` });
    // Behind a load balancer.
    await open("/ws/box", {
      origin: "https://docker.example",
      headers: { "X-Forwarded-Host": "docker.example", "X-Forwarded-Proto": "https" },
    });
    await refused("/ws/box", { origin: `http://${host}`, headers: { "X-Forwarded-Host": "docker.example" } }).toThrow(/^403 /);
  });

  test("from an allowed origin needs a ticket or credentials, and its 101 carries the request id", async () => {
    const origin = ALLOWED;
    const answer = await node.request("POST", "/ws/box/ticket", { headers: { Origin: origin } });
    expect([answer.status, answer.headers.get("access-control-allow-origin")]).toEqual([200, origin]);
    const terminal = await open(`/ws/box?tty=false&ticket=${answer.json.ticket}`, { anonymous: true, origin });
    terminal.type("exit 4\n");
    expect((await terminal.gets("exit")).code).toBe(4);
    const given = await open("/ws/box", { origin, headers: { "X-Request-Id": "a.page:1" } });
    expect([given.headers["x-request-id"], terminal.headers["x-request-id"]]).toEqual([
      "a.page:1",
      expect.stringMatching(/^[\da-f-]{36}$/),
    ]);
    await refused("/ws/box", { origin, anonymous: true }).toThrow(/^401 .*MISSING_CREDENTIALS/);
    await refused(`/ws/box?ticket=${answer.json.ticket}`, { origin, anonymous: true }).toThrow(/^401 .*WRONG_TICKET/);
    for (const other of ["https://pages.example", "http://pages.example:8443", `${origin}.evil.example`])
      await refused("/ws/box", { origin: other }).toThrow(/^403 .*CROSS_SITE/);
  });

  const WEBSOCKET = {
    Authorization: `Bearer ${TOKEN}`,
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": randomBytes(16).toString("base64"),
  };

  function connect(): RawConnection {
    const connection = connectRaw(node.server);
    connections.push(connection);
    return connection;
  }

  test("without a valid WebSocket handshake is a 426 that keeps the connection; other methods are a 405", async () => {
    const answer = await node.request("GET", "/ws/box");
    expect(answer).toMatchObject({ status: 426, json: { error: "upgrade_required", code: "UPGRADE_REQUIRED" } });
    expect(answer.headers.get("upgrade")).toBe("websocket");
    expect((await node.request("HEAD", "/ws/box")).status).toBe(200);
    expect((await node.request("POST", "/ws/box", { json: {} })).status).toBe(405);
    expect((await node.request("GET", "/ws/box", { anonymous: true })).status).toBe(401);
    const body = "GET /version HTTP/1.1\r\n\r\n";
    const wrong: [Record<string, string>, string?][] = [
      [{ Upgrade: "h2c" }],
      [{ "Sec-WebSocket-Version": "8" }],
      [{ "Sec-WebSocket-Key": "short" }],
      [{ "Content-Length": String(body.length) }, body],
    ];
    for (const [lines, after = ""] of wrong) {
      const connection = connect();
      connection.send(head("GET", "/ws/box", { ...WEBSOCKET, ...lines }) + after);
      expect(await connection.receives(/UPGRADE_REQUIRED.*\}$/)).toMatch(/^HTTP\/1\.1 426 /);
      connection.send(head("GET", "/version", { Authorization: WEBSOCKET.Authorization }));
      await connection.receives(/HTTP\/1\.1 200 /);
      expect(connection.received().split("HTTP/1.1 ").length).toBe(3);
    }
  });

  test("is answered in order on its connection, and a refusal closes the connection", async () => {
    const connection = connect();
    const { Authorization } = WEBSOCKET;
    const after = head("GET", "/version", { Authorization });
    connection.send(after + head("GET", "/ws/none", WEBSOCKET) + after);
    expect(await until(connection.closed, DEADLINE_MS)).toBe(true);
    expect(connection.received()).toMatch(/^HTTP\/1\.1 200 [\s\S]*HTTP\/1\.1 404 [\s\S]*Connection: close[\s\S]*CONTAINER_NOT_FOUND/);
    expect(connection.received().split("HTTP/1.1 ").length).toBe(3);
    const taken = connect();
    taken.send(after + head("GET", "/ws/box?tty=false", WEBSOCKET));
    await taken.receives(/HTTP\/1\.1 200 [\s\S]*HTTP\/1\.1 101 /);
  });

  test("may break off at any stage without harm to the server", async () => {
    const stages = ["GET /ws", head("GET", "/ws/box", WEBSOCKET).slice(0, -2), head("GET", "/ws/box?cols=80", WEBSOCKET)];
    for (let round = 0; round < 30; round += 1) {
      const connection = connect();
      connection.send(stages[round % 3] as string);
      if (round % 2) await new Promise((resolve) => setTimeout(resolve, 20));
      connection.end();
    }
    // Also those that have ended and that nobody has waited for; beside the first there is the shell that counts.
    const count = "cat /proc/[0-9]*/stat 2>/dev/null; true";
    const processCount = async () => (await node.docker("exec", "box", "sh", "-c", count)).split("\n").length;
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await until(async () => (await processCount()) === 2, DEADLINE_MS)).toBe(true);
  });
});

describe("a ticket", () => {
  const issueTicket = async () => (await node.request("POST", "/ws/box/ticket")).json.ticket as string;

  test("opens one terminal in its container without credentials, exactly once", async () => {
    const answer = await node.request("POST", "/ws/box/ticket");
    expect(answer).toMatchObject({ status: 200, json: { ticket: expect.any(String), expires_in: 30 } });
    const { ticket } = answer.json;
    const terminal = await open(`/ws/box?tty=false&ticket=${ticket}`, { anonymous: true, origin: node.server.url });
    terminal.type("exit 6\n");
    expect((await terminal.gets("exit")).code).toBe(6);
    await refused(`/ws/box?ticket=${ticket}`, { anonymous: true }).toThrow(/^401 .*WRONG_TICKET/);
    // The audit entry is written when the terminal closes.
    const users = () =>
      new Set(
        auditEntries(node.server)
          .filter(({ status }) => status === 101)
          .map(({ user }) => user),
      );
    expect(await until(() => users().size > 0, 20_000)).toBe(true);
    expect(users().size).toBe(1);
    expect(everythingLogged(node.server)).not.toContain(ticket);
  });

  test("opens nothing else, and nothing from another origin", async () => {
    await node.docker("run", "-d", "--name", "other", "busybox", "sleep", "1000");
    const ticket = await issueTicket();
    await refused(`/ws/other?ticket=${ticket}`, { anonymous: true }).toThrow(/^401 .*WRONG_TICKET/);
    await refused(`/ws/box?ticket=${ticket}`, { anonymous: true }).toThrow(/^401 .*WRONG_TICKET/);
    await refused(`/ws/box?ticket=${await issueTicket()}`, { anonymous: true, origin: "http://evil.example" }).toThrow(/^403 /);
    for (const pathname of ["/", "/box", "/version", "/ws/box/none"])
      expect((await node.request("GET", `${pathname}?ticket=${await issueTicket()}`, { anonymous: true })).text).not.toMatch(
        /"box"|docker_version|sleep/,
      );
    for (const pathname of ["/ws/box/ticket", "/box"])
      expect((await node.request("POST", `${pathname}?ticket=${await issueTicket()}`, { anonymous: true })).status).toBe(401);
    expect((await node.request("POST", "/ws/none/ticket")).status).toBe(404);
  });

  test("that was not issued is refused", async () => {
    const ticket = await issueTicket();
    const [claim = "", signature = ""] = ticket.split(".");
    const forged = Buffer.from(JSON.stringify({ caller: "root", at: Date.now(), nonce: "a" })).toString("base64url");
    for (const wrong of ["a", ".", "a.b.c", claim, `${claim}.`, `${forged}.${signature}`, `${ticket}x`, "%00"])
      await refused(`/ws/box?ticket=${wrong}`, { anonymous: true }).toThrow(/^401 /);
    await refused(`/ws/box?ticket=${ticket}&ticket=${ticket}`, { anonymous: true }).toThrow(/^401 /);
    await open(`/ws/box?ticket=${ticket}`, { anonymous: true });
  });
});

describe("a message", () => {
  test.each<[string, string | Buffer, object]>([
    ["that is not JSON", "{", { code: "INVALID_BODY" }],
    ["that is not an object", "null", { code: "INVALID_BODY" }],
    ["that is a list", "[1]", { code: "INVALID_BODY" }],
    ["in a binary frame", Buffer.from("{}"), { code: "INVALID_BODY" }],
    ["without a type", "{}", { details: { field: "type" } }],
    ["of an unknown type", '{"type":"constructor"}', { details: { field: "type" } }],
    ["of stdin without data", '{"type":"stdin"}', { code: "MISSING_DATA" }],
    ["of stdin that is not text", '{"type":"stdin","data":{"a":1}}', { details: { field: "data" } }],
    ["of stdin in an unknown encoding", '{"type":"stdin","data":"a","encoding":"hex"}', { details: { field: "encoding" } }],
    ["of stdin that is not base64", '{"type":"stdin","data":"a$b","encoding":"base64"}', { details: { field: "data" } }],
    ["of a size of 0", '{"type":"resize","cols":0,"rows":24}', { details: { field: "cols" } }],
    ["of a size that is not a number", '{"type":"resize","cols":80,"rows":"x; reboot"}', { details: { field: "rows" } }],
    ["of an unknown signal", '{"type":"signal","name":"INT -1"}', { details: { field: "name" } }],
    ["of a signal by its number", '{"type":"signal","name":9}', { details: { field: "name" } }],
    ["of a signal with a command", '{"type":"signal","name":"KILL; touch /x"}', { details: { field: "name" } }],
    ["of a prototype", '{"type":"signal","name":"__proto__"}', { details: { field: "name" } }],
  ])("%s is answered with an error, and the terminal stays open", async (_description, frame, error) => {
    const terminal = await open("/ws/box?tty=false");
    terminal.socket.send(frame);
    const got = await terminal.gets("error");
    expect(got.error).toMatchObject({ error: "validation_error", status: 400, message: expect.any(String), ...error });
    expect(got.error.request_id).toMatch(/^[\w-]+$/);
    terminal.type("echo on; exit 3\n");
    expect((await terminal.gets("exit")).code).toBe(3);
    expect(terminal.stdout()).toBe("on\n");
  });

  test("over 1 MB closes the terminal with 1009; bytes that are no frames close it with 1002", async () => {
    const large = await open("/ws/box?tty=false");
    large.type("x".repeat(1_100_000));
    expect(await large.closed()).toBe(1009);
    const broken = await open("/ws/box?tty=false");
    // biome-ignore lint/suspicious/noExplicitAny: past the client's own framing
    (broken.socket as any)._socket.write(Buffer.from("ffffffffffffffff", "hex"));
    expect(await broken.closed()).toBe(1002);
  });
});

test("a container without a shell gives an error message, and the terminal closes", async () => {
  await node.docker("run", "-d", "--name", "bare", "busybox", "sleep", "100000");
  await node.docker("exec", "bare", "rm", "/bin/sh");
  for (const query of ["?cols=80&rows=24", "?tty=false"]) {
    const terminal = await open(`/ws/bare${query}`);
    expect((await terminal.gets("error")).error).toMatchObject({
      code: expect.stringMatching(/NO_SHELL|INVALID_SPEC/),
      message: expect.stringMatching(/sh/),
    });
    expect(await terminal.closed()).toBe(1011);
  }
});
