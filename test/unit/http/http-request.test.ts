import type { Request, Response } from "express";
import { z } from "zod";
import { Access } from "../../../lib/access/access";
import { owner } from "../../../lib/cluster/routing/where";
import { AppError } from "../../../lib/errors";
import { HttpRequest } from "../../../lib/http/http-request";
import { querySchema } from "../../../lib/http/query";
import { type Route, route } from "../../../lib/http/route";

/** A request of a container's route with this handler. */
function requestOf(
  handler: (call: { markStarted(): void }) => Promise<object>,
  request: { readableDidRead?: boolean; body?: unknown } = {},
  more: Partial<Route> = {},
): HttpRequest {
  const declared: Route = {
    ...route({
      method: "get",
      path: "/containers/:id",
      where: owner,
      burst: "none",
      permission: "read",
      confined: "container",
      summary: "",
      params: z.object({ id: z.string() }),
      responses: { 200: { description: "" } },
      handler,
    }),
    ...more,
  };
  const express = { params: { id: "web" }, url: "/containers/web", query: {}, readableDidRead: false, ...request } as unknown as Request;
  const response = { locals: { access: Access.full } } as unknown as Response;
  return new HttpRequest(declared, querySchema(declared), express, response, { bodyParsers: [] } as never);
}

/** Runs a handler that fails with these errors, one a call, and then succeeds. @returns the number of calls */
async function callsUntilDone(errors: AppError[], request: { readableDidRead?: boolean } = {}): Promise<number> {
  let calls = 0;
  const handler = async () => {
    const error = errors[calls++];
    if (error) throw error;
    return {};
  };
  await requestOf(handler, request)
    .runHere()
    .catch(() => undefined);
  return calls;
}

describe("HttpRequest", () => {
  const gone = () => new AppError("CONTAINER_NOT_FOUND", { cause: { statusCode: 404 } });

  test("a container that the engine doesn't know, found in memory, is looked up once more", async () => {
    expect(await callsUntilDone([gone()])).toBe(2);
    expect(await callsUntilDone([gone(), gone()])).toBe(2);
  });

  test("a container that the lookup doesn't find, another error, and a request whose body has been read are not tried again", async () => {
    expect(await callsUntilDone([new AppError("CONTAINER_NOT_FOUND")])).toBe(1);
    expect(await callsUntilDone([new AppError("NOT_RUNNING", { cause: { statusCode: 409 } })])).toBe(1);
    expect(await callsUntilDone([gone()], { readableDidRead: true })).toBe(1);
  });

  test.each([
    ["JSON that is no object", [1]],
    ["JSON null", null],
    ["JSON text", "a"],
  ])("%s is a client error that shows a body", async (_, body) => {
    const declared = { body: z.object({ name: z.string() }), example: { name: "web" } };
    const reading = requestOf(async () => ({}), { body }, declared).readBody();
    await expect(reading).rejects.toMatchObject({
      status: 400,
      clientCode: "INVALID_BODY",
      message: 'body must be an object, such as {"name":"web"}',
    });
  });

  test.each([
    ["true", "force=true"],
    [Object.assign(Object.create(null), { a: "1" }), "force=VALUE"],
    ["x".repeat(1000), "force=VALUE"],
    ["\ud800", "force=%EF%BF%BD"],
  ])("the parameter %j of the address in the body is refused with its place", async (force, parameter) => {
    const declared = { query: z.object({ force: z.string().optional() }) };
    const reading = requestOf(async () => ({}), { body: { force } }, declared).readBody();
    await expect(reading).rejects.toMatchObject({
      status: 400,
      message: `force is no field of the body here, but a parameter of the address: ?${parameter}`,
    });
  });

  test("of requests that fail with one error, the one that had started tells so, and the other does not", async () => {
    const cause = new Error("the socket is closed");
    const error = new AppError("ENGINE_UNREACHABLE", { message: "It is gone", details: { engine: 1 }, cause });
    const failureOf = (isStarted: boolean): Promise<AppError> =>
      requestOf(async (call) => {
        if (isStarted) call.markStarted();
        throw error;
      })
        .runHere()
        .then(
          () => Promise.reject(new Error("it succeeded")),
          (failure: AppError) => failure,
        );
    const started = await failureOf(true);
    expect(started).toBeInstanceOf(AppError);
    expect({ ...started, message: started.message, cause: started.cause }).toEqual({
      ...error,
      message: "It is gone",
      cause,
      details: { engine: 1, begun: true },
    });
    expect((await failureOf(false)).details).toEqual({ engine: 1 });
  });
});
