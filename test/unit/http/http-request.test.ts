import type { Request, Response } from "express";
import { z } from "zod";
import { Access } from "../../../lib/access/access";
import { owner } from "../../../lib/cluster/routing/where";
import { AppError } from "../../../lib/errors";
import { HttpRequest, querySchema } from "../../../lib/http/http-request";
import { type Route, route } from "../../../lib/http/route";

/** Runs a route of a container whose handler fails with these errors, one a call, and then succeeds. @returns the number of calls */
async function callsUntilDone(errors: AppError[], request: { readableDidRead?: boolean } = {}): Promise<number> {
  let calls = 0;
  const declared: Route = route({
    method: "get",
    path: "/containers/:id",
    where: owner,
    burst: "none",
    permission: "read",
    confined: "container",
    summary: "",
    params: z.object({ id: z.string() }),
    responses: { 200: { description: "" } },
    async handler() {
      const error = errors[calls++];
      if (error) throw error;
      return {};
    },
  });
  const express = { params: { id: "web" }, query: {}, readableDidRead: false, ...request } as unknown as Request;
  const routed = new HttpRequest(
    declared,
    querySchema(declared),
    express,
    { locals: { access: Access.full } } as unknown as Response,
    {} as never,
  );
  await routed.runHere().catch(() => undefined);
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
});
