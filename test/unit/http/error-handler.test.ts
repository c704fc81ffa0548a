import { once } from "node:events";
import type http from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import { AppError, type ErrorCode, invalidField, KINDS, type Kind, loggedError } from "../../../lib/errors";
import { bodyParsers } from "../../../lib/http/body";
import { errorHandler } from "../../../lib/http/error-handler";
import { requestLogger } from "../../../lib/http/request-logger";
import { quietLog } from "../../support/unit/quiet-log";

const { log, entries } = quietLog();
const audited: Record<string, unknown>[] = [];
/** What the next request throws. */
let thrown: unknown;
let url: string;
let server: http.Server;

beforeAll(async () => {
  const app = express();
  app.use(
    requestLogger(
      (entry) => audited.push(entry),
      () => {},
    ),
  );
  app.post("/body", ...bodyParsers(1000), (_request, response) => void response.json({}));
  app.all("/throw", (_request, response) => {
    if (thrown === "set-retry-after") {
      response.set("Retry-After", "42");
      throw new AppError("TOO_MANY_REQUESTS");
    }
    throw thrown;
  });
  app.get("/half", (_request, response, next) => {
    response.write("half an answer");
    setImmediate(() => next(new Error("broke")));
  });
  app.use(errorHandler(log));
  server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => server.close());
beforeEach(() => {
  entries.length = 0;
  audited.length = 0;
});

async function answerTo(error: unknown, options: RequestInit = {}) {
  thrown = error;
  const response = await fetch(`${url}/throw`, options);
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, body: text === "" ? undefined : JSON.parse(text) };
}

async function answerToBody(contentType: string | undefined, body: string | Buffer) {
  const headers = contentType === undefined ? {} : { "Content-Type": contentType };
  const response = await fetch(`${url}/body`, { method: "POST", headers, body: new Uint8Array(Buffer.from(body as string)) });
  return { status: response.status, ...((await response.json()) as { code?: string; message?: string }) };
}

const OF_KIND: [ErrorCode, Kind, number][] = [
  ["WRONG_CREDENTIALS", "auth_error", 401],
  ["NOT_ALLOWED", "forbidden", 403],
  ["INVALID_INPUT", "validation_error", 400],
  ["CONTAINER_NOT_FOUND", "not_found", 404],
  ["METHOD_NOT_ALLOWED", "not_found", 405],
  ["NAME_TAKEN", "conflict", 409],
  ["REQUEST_TIMEOUT", "timeout", 408],
  ["BODY_TOO_LARGE", "too_large", 413],
  ["TOO_MANY_REQUESTS", "rate_limited", 429],
  ["ENGINE_ERROR", "docker_error", 500],
  ["INTERNAL", "io_error", 500],
  ["REGISTRY_UNREACHABLE", "upstream_error", 502],
  ["ENGINE_UNREACHABLE", "unavailable", 503],
];

describe("errorHandler", () => {
  test.each(OF_KIND)("%s is answered as %s with %i in the common error body", async (code, kind, status) => {
    const answer = await answerTo(new AppError(code, { message: "What happened", details: { field: "x" } }), {
      headers: { "X-Request-Id": "req-1" },
    });
    expect(answer.status).toBe(status);
    expect(answer.body).toEqual({
      error: kind,
      code,
      message: "What happened",
      status,
      request_id: "req-1",
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      details: { field: "x" },
      detail: "What happened",
    });
    expect(answer.headers.get("content-type")).toMatch(/^application\/json/);
    expect(answer.headers.get("x-error-code")).toBe(code);
    expect(audited).toEqual([expect.objectContaining({ status, error: kind, code, request_id: "req-1" })]);
  });

  test("every documented kind has its status", () => {
    expect(KINDS).toMatchObject({ state_error: 422, compose_error: 500, readiness: 504, auth_error: 401, timeout: 408 });
  });

  test("HEAD returns the error in headers, as one line of ASCII", async () => {
    const message = `é “x”\r\nSet-Cookie: a=b ${"y".repeat(1000)}`;
    const { headers, text, status } = await answerTo(new AppError("IMAGE_NOT_FOUND", { message }), { method: "HEAD" });
    expect([status, text, headers.get("x-error-code"), headers.get("set-cookie")]).toEqual([404, "", "IMAGE_NOT_FOUND", null]);
    expect(headers.get("x-error-message")).toMatch(/^ ?x {1,2}Set-Cookie: a=b y+$/);
    expect(headers.get("x-error-message")?.length).toBeLessThanOrEqual(500);
  });

  test.each<[unknown]>([
    [new TypeError("secret-cause of ours")],
    ["secret-cause text"],
    [undefined],
    [null],
    [{ status: 500, message: "secret-cause" }],
  ])("an error outside the catalogue is a 500 without details: %s", async (error) => {
    // Express ignores a thrown null or undefined: no route answers then.
    if (error === undefined || error === null) return expect((await fetch(`${url}/nowhere`)).status).toBe(404);
    const { status, body, text } = await answerTo(error);
    expect([status, body.code, body.error]).toEqual([500, "INTERNAL", "io_error"]);
    expect(text).not.toContain("secret-cause");
    expect(entries).toEqual([
      expect.objectContaining({ level: "error", fields: expect.objectContaining({ request_id: body.request_id }) }),
    ]);
  });

  test("causes of server errors are logged, those of client errors are not", async () => {
    await answerTo(new AppError("ENGINE_ERROR", { cause: new Error("the very cause") }));
    expect(entries[0]?.fields?.cause).toMatch(/the very cause[\s\S]*error-handler\.test/);
    entries.length = 0;
    await answerTo(new AppError("INVALID_INPUT", { cause: new Error("x") }));
    expect(entries).toEqual([]);
  });

  test("429 and 503 have a Retry-After header, and an existing one is kept", async () => {
    expect((await answerTo(new AppError("TOO_MANY_REQUESTS"))).headers.get("retry-after")).toBe("1");
    expect((await answerTo(new AppError("ENGINE_UNREACHABLE"))).headers.get("retry-after")).toBe("1");
    expect((await answerTo("set-retry-after")).headers.get("retry-after")).toBe("42");
    expect((await answerTo(new AppError("NAME_TAKEN"))).headers.has("retry-after")).toBe(false);
  });

  test("an error after a partial response breaks the connection", async () => {
    await expect(fetch(`${url}/half`).then((response) => response.text())).rejects.toThrow();
    expect(entries).toEqual([expect.objectContaining({ level: "error" })]);
  });
});

describe("bodyParsers", () => {
  test.each<[string, string | undefined, string | Buffer, number, string]>([
    ["broken JSON", "application/json", '{"a": ', 400, "INVALID_BODY"],
    ["JSON sent as a form", "application/x-www-form-urlencoded", '{"a": 1}', 400, "INVALID_BODY"],
    ["a form whose value has an &", "application/x-www-form-urlencoded", "command=sleep 1 && echo b", 400, "INVALID_BODY"],
    ["a form that is too deep", "application/x-www-form-urlencoded", "a[b][c][d][e][f][g]=1", 400, "INVALID_BODY"],
    ["a type we don't read", "text/yaml", "a: 1", 400, "UNSUPPORTED_MEDIA_TYPE"],
    ["no type", "", "a=1", 400, "UNSUPPORTED_MEDIA_TYPE"],
    ["an unknown charset", "application/json; charset=x-nowhere", "{}", 400, "INVALID_BODY"],
    ["too large a JSON", "application/json", JSON.stringify({ a: "x".repeat(1000) }), 413, "BODY_TOO_LARGE"],
    ["too large a form", "application/x-www-form-urlencoded", `a=${"x".repeat(1000)}`, 413, "BODY_TOO_LARGE"],
  ])("%s is a client error: %s", async (_name, contentType, body, status, code) => {
    expect(await answerToBody(contentType, body)).toMatchObject({ status, code });
    expect(entries).toEqual([]);
  });

  test("an empty body, any +json type and an empty form are read as objects", async () => {
    expect((await fetch(`${url}/body`, { method: "POST" })).status).toBe(200);
    for (const type of ["application/json", "application/vnd.x+json"]) expect((await answerToBody(type, "{}")).status).toBe(200);
    expect((await answerToBody("application/x-www-form-urlencoded; charset=utf-8", "")).status).toBe(200);
  });
});

describe("errors", () => {
  test("an invalid field is named in code, message and details", () => {
    expect(invalidField("ports.80", "must be a port")).toMatchObject({
      clientCode: "INVALID_PORTS",
      message: "ports.80 must be a port",
      details: { field: "ports.80" },
    });
    expect(invalidField("env_vars", "is required")).toMatchObject({
      clientCode: "MISSING_ENV_VARS",
      details: { field: "env_vars", provided: null },
    });
    expect(invalidField("", "is odd").clientCode).toBe("INVALID_INPUT");
  });

  test.each([
    [422, "WRONG_STATE", "state_error"],
    [400, "MISSING_IMAGE", "validation_error"],
    [400, "PORT_TAKEN", "validation_error"],
    [409, "PORT_TAKEN", "conflict"],
    [405, "METHOD_NOT_ALLOWED", "not_found"],
  ])("a %i %s of another node is logged as %s", (status, code, error) => {
    expect(loggedError(status, code)).toEqual({ error, code });
  });
});
