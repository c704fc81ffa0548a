import { EventEmitter } from "node:events";
import type { Request, Response } from "express";
import { requestLogger } from "../../../lib/http/request-logger";

/** Finishes a request. @returns the paths that were audited, and how many requests were counted */
function finish(path: string, statusCode: number) {
  const audited: unknown[] = [];
  let counted = 0;
  const log = requestLogger(
    (entry) => void audited.push(entry.path),
    () => {
      counted += 1;
    },
  );
  const request = { method: "GET", path, ip: "127.0.0.1", headers: {}, get: () => undefined } as unknown as Request;
  const response = Object.assign(new EventEmitter(), { locals: {}, statusCode, writableFinished: true, setHeader: () => undefined });
  log(request, response as unknown as Response, () => undefined);
  response.emit("close");
  return { audited, counted };
}

test("a health check that succeeds is counted and leaves no line in the audit log; all else does", () => {
  expect(finish("/health", 200)).toEqual({ audited: [], counted: 1 });
  for (const [path, status] of [
    ["/health", 503],
    ["/healthz", 200],
    ["/", 200],
  ] as const)
    expect(finish(path, status)).toEqual({ audited: [path], counted: 1 });
});
