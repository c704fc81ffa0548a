import assert from "node:assert/strict";
import { Curl } from "./demo-curl";
import { type DemoServer, type Stage, startDemoServer } from "./demo-stage";
import { heading, note } from "./demo-terminal";

const PORT = "8000";
const WEB_PAGE = "Hello from inside a container";
const READY = "the web server is ready";
const WEB_SERVER = `mkdir /www; echo ${WEB_PAGE} > /www/index.html; httpd -p ${PORT} -h /www; echo ${READY}; while sleep 1; do date; done`;

/** The headers of a pull's response that identify the image. */
const OUTCOME = /^(?:x-image-id|docker-content-digest): sha256:[0-9a-f]{64}$/gim;

/** One machine, one server: the six verbs. */
export async function showOneNode(stage: Stage): Promise<void> {
  const server = await startDemoServer(stage, "node-1");
  note(`The server is started: SERVER=${server.url}`);
  note("TOKEN is a random one. Whoever has it may use this machine's Docker; the demo keeps it to itself.");
  const curl = new Curl(server);
  const web = `${stage.prefix}web`;
  await list(curl);
  await pull(curl, stage.image);
  await runInBackground(curl, stage.image, web);
  await reachWebServer(curl, web);
  await readLogs(curl, web);
  await execute(curl, web);
  await runInForeground(curl, stage.image, `${stage.prefix}job`);
  await showErrors(curl);
  await remove(curl, web);
  await documentation(curl, server);
}

async function list(curl: Curl): Promise<void> {
  heading("1. GET / lists", "All containers of this machine, like `docker ps -a`, as JSON.");
  const { status, json } = await curl.ask(["$SERVER/"]);
  assert.equal(status, 200);
  assert.ok(Array.isArray(json));
}

async function pull(curl: Curl, image: string): Promise<void> {
  heading("2. HEAD pulls", "The image's name is the path. A HEAD has no body: the outcome is in the status and the headers.");
  const { status, text } = await curl.ask(["-I", `$SERVER/${image}`], (answer) => `${answer.text.match(OUTCOME)?.join("\n")}\n…`);
  assert.equal(status, 200);
  assert.equal(text.match(OUTCOME)?.length, 2);
}

async function runInBackground(curl: Curl, image: string, name: string): Promise<void> {
  heading("3. PUT runs", "A web server in the background. Host port 0 is any that is free.");
  const { status, json } = await curl.ask(put({ image, name, detach: true, ports: { 0: PORT }, data: ["sh", "-c", WEB_SERVER] }));
  assert.equal(status, 200);
  assert.equal(json.status, "running");
  assert.match(json.id, /^[0-9a-f]{64}$/);
}

async function reachWebServer(curl: Curl, name: string): Promise<void> {
  heading("   … and is there", "The list shows it at once, with the port it got. There the container itself answers.");
  const { json } = await curl.ask(["$SERVER/"]);
  const found = json.find((each: { name: string }) => each.name === name);
  assert.equal(found?.state, "running");
  const port = found.ports.find((each: { container: number }) => each.container === Number(PORT))?.host;
  const { status, text } = await curl.askAnonymously(["--retry", "5", "--retry-connrefused", `http://127.0.0.1:${port}/`]);
  assert.equal(status, 200);
  assert.equal(text.trim(), WEB_PAGE);
}

async function readLogs(curl: Curl, name: string): Promise<void> {
  heading(
    "4. GET /name reads logs",
    "JSON, or plain text if asked for. This container says what it does, and then the time once a second.",
  );
  const { status, json } = await curl.ask([`$SERVER/${name}?tail=3`]);
  assert.equal(status, 200);
  assert.match(json.stdout, new RegExp(`^${READY}\n`));
  heading("   … and follows them", "As plain text, line by line as they come; here for three and a half seconds.");
  const followed = await curl.follow(["--max-time", "3.5", `$SERVER/${name}?follow=true&tail=1`]);
  assert.ok(followed.trim().split("\n").length >= 3, "new lines should have come");
}

async function execute(curl: Curl, name: string): Promise<void> {
  heading("5. POST /name executes", "A command inside of the running container. Fields come as a form or as JSON.");
  const { status, json } = await curl.ask([`$SERVER/${name}`, "-d", "data=cat /www/index.html"]);
  assert.equal(status, 200);
  assert.deepEqual([json.exit_code, json.stdout], [0, `${WEB_PAGE}\n`]);
}

async function runInForeground(curl: Curl, image: string, name: string): Promise<void> {
  heading("   … and PUT waits", "Without `detach` the answer is the job's end: exit code and output. `remove` leaves nothing behind.");
  const data = ["sh", "-c", "echo all went well; echo nearly >&2; exit 3"];
  const { status, json } = await curl.ask(put({ image, name, remove: true, data }));
  assert.equal(status, 200);
  assert.deepEqual([json.exit_code, json.stdout, json.stderr], [3, "all went well\n", "nearly\n"]);
}

async function showErrors(curl: Curl): Promise<void> {
  heading("   Mistakes", "Every error has one shape, and a status that says whose it is.");
  const absent = await curl.ask(["$SERVER/no-such-container"]);
  assert.deepEqual([absent.status, absent.json.code], [404, "CONTAINER_NOT_FOUND"]);
  const stranger = await curl.askAnonymously(["-H", "X-Access-Token: a-guess", "$SERVER/"]);
  assert.equal(stranger.status, 401);
}

async function remove(curl: Curl, name: string): Promise<void> {
  heading("6. DELETE /name removes", "By force, running or not.");
  const { status, json } = await curl.ask(["-X", "DELETE", `$SERVER/${name}`]);
  assert.deepEqual([status, json.removed], [200, true]);
  assert.equal((await curl.ask([`$SERVER/${name}`])).status, 404);
}

async function documentation(curl: Curl, { url }: DemoServer): Promise<void> {
  heading("The rest", "While a server runs, its pages tell every field and answer:");
  note(`${url}/docs  ${url}/redoc  ${url}/openapi.json`);
  const count = (paths: object) => Object.values(paths).flatMap((path) => Object.keys(path)).length;
  const { json } = await curl.askAnonymously(
    ["$SERVER/openapi.json"],
    (answer) => `OpenAPI ${answer.json?.openapi}: ${count(answer.json?.paths ?? {})} operations`,
  );
  assert.match(json.openapi, /^3\.1\./);
  assert.ok(count(json.paths) >= 6);
}

function put(fields: object): string[] {
  return ["-X", "PUT", "$SERVER/", "-H", "Content-Type: application/json", "-d", JSON.stringify(fields)];
}
