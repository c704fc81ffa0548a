import type { Request, Response } from "express";
import { Access } from "../access/access";
import { PEER_HEADER } from "../cluster/rpc/signatures";
import type { RawHeaders } from "../proxy/http1/message-head";
import { requestBodyFraming } from "../proxy/http1/request-body";
import { type Row, segmentsOf } from "./row";
import { formatTarget } from "./target";

/** One request on the Docker API, with what was parsed of it. */
export interface DockerCall {
  request: Request;
  response: Response;
  row: Row;
  /** the object that the path names */
  id: string | undefined;
  /** the version that the client asks in: the NN of 1.NN */
  version: number | undefined;
  query: URLSearchParams;
  access: Access;
  /** whether another node has sent it: it runs here */
  fromPeer: boolean;
}

/** Headers that are passed on to engines; all others are between the client and this server. */
const PASSED_ON = new Set([
  "accept",
  "user-agent",
  "x-registry-auth",
  "x-registry-config",
  "sec-websocket-key",
  "sec-websocket-version",
  "sec-websocket-protocol",
]);

/** What is sent on in place of the client's request. */
export interface Outgoing {
  method: string;
  /** path and query */
  target: string;
  /** sent in place of the client's body; undefined: the client's streams, if the row has one */
  body?: Buffer | undefined;
  /** the protocol to offer an upgrade to */
  upgrade?: string | undefined;
}

/** The request as it is sent on: path and query are made of what was parsed. */
export function outgoing(
  call: DockerCall,
  version: number | undefined,
  changed: { id?: string | undefined; body?: Buffer | undefined; query?: URLSearchParams } = {},
): Outgoing {
  const { row, request, query } = call;
  const target = formatTarget(version, segmentsOf(row, changed.id ?? call.id), changed.query ?? query);
  return { method: request.method, target, body: changed.body ?? (row.body === "stream" ? undefined : Buffer.alloc(0)) };
}

/** The head of a request to an engine or a node, with the body if that is sent whole. */
export function headOf(call: DockerCall, host: string, out: Outgoing, more: RawHeaders = []): RawHeaders {
  const { request } = call;
  const headers: RawHeaders = ["Host", host, ...more];
  for (const name of PASSED_ON) {
    const value = request.headers[name];
    if (typeof value === "string") headers.push(name, value);
  }
  if (out.upgrade !== undefined) headers.push("Connection", "Upgrade", "Upgrade", out.upgrade);
  // The engine's WebSocket refuses a handshake without an origin. Cross-site requests were refused before.
  if (out.upgrade === "websocket") headers.push("Origin", "http://docker");
  if (out.body === undefined) {
    // Never the client's: the engine would read parameters from a form.
    headers.push("Content-Type", call.row.path === "/auth" ? "application/json" : "application/x-tar");
    const framing = requestBodyFraming(request);
    if (framing === "chunked") headers.push("Transfer-Encoding", "chunked");
    else headers.push("Content-Length", framing === "none" ? "0" : String(request.headers["content-length"]));
  } else {
    if (out.body.length > 0) headers.push("Content-Type", "application/json");
    if (out.body.length > 0 || (out.method !== "GET" && out.method !== "HEAD")) headers.push("Content-Length", String(out.body.length));
  }
  return headers;
}

/** What another node must know of a request besides its head. */
export function peerHeaders(call: DockerCall, signed: string): RawHeaders {
  return ["X-Request-Id", call.response.locals.request_id, PEER_HEADER, signed];
}

/** Who a request is signed for. */
export function clientOf({ response }: Pick<DockerCall, "response">): { caller: string; access: Access } {
  return { caller: response.locals.identity ?? "", access: response.locals.access ?? Access.full };
}
