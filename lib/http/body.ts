import express, { type RequestHandler, type Response } from "express";
import { parse } from "qs";
import { digestOf, type PeerRequest } from "../cluster/rpc/signatures";
import { AppError, invalidField } from "../errors";

const JSON_TYPES = ["application/json", "application/*+json"];
/** Of a form. What is repeated (`data[]=a&data[]=b`) may be so as often as there may be fields. */
const LIMITS = { depth: 4, parameterLimit: 2000, arrayLimit: 2000 };
const FORM_TYPE = "application/x-www-form-urlencoded";
/** So much past the limit (bytes) is read off, so that the client gets to see its answer; then it is cut off. */
const EXCESS = 32_000_000;

/**
 * Reads a request's body into an object: JSON, or a form whose nested fields are maps (`ports[80]=8080`).
 * @param limit bytes
 */
export function bodyReaders(limit: number): RequestHandler[] {
  const verify = (_request: unknown, response: unknown, bytes: Buffer) => checkSigned(response as Response, bytes);
  const bounded: RequestHandler = (request, _response, next) => {
    let seen = 0;
    request.on("data", (chunk: Buffer) => {
      seen += chunk.length;
      if (seen > limit + EXCESS) request.destroy();
    });
    next();
  };
  const asObject: RequestHandler = (request, response, next) => {
    if (typeof request.body === "string" && request.is(FORM_TYPE)) request.body = parseForm(request.body);
    else if (request.body === undefined) {
      checkSigned(response, undefined);
      request.body = emptyBody(request.headers);
    }
    if (request.body === null || typeof request.body !== "object" || Array.isArray(request.body))
      throw invalidField("body", "must be an object");
    next();
  };
  return [
    bounded,
    express.json({ limit, type: JSON_TYPES, strict: false, verify }),
    express.text({ limit, type: FORM_TYPE, defaultCharset: "utf-8", verify }),
    asObject,
  ];
}

/** What another node sends is what it has signed. */
function checkSigned({ locals }: Pick<Response, "locals">, bytes: Buffer | undefined): void {
  const peer = locals.peer as PeerRequest | undefined;
  if (peer && peer.digest !== (bytes && digestOf(bytes)))
    throw new AppError("INVALID_BODY", { message: "The body is not the one that was signed" });
}

function parseForm(text: string): unknown {
  if (/^\s*\{/.test(text)) {
    throw new AppError("INVALID_BODY", {
      message: "The body looks like JSON but was sent as a form: send it with Content-Type: application/json",
    });
  }
  try {
    // A list would swallow the key of `ports[80]`: fields that are lists are read from maps instead.
    return parse(text, { ...LIMITS, parseArrays: false, plainObjects: true, strictDepth: true, throwOnLimitExceeded: true });
  } catch (error) {
    throw new AppError("INVALID_BODY", { message: `The form can't be read: ${(error as Error).message}` });
  }
}

function emptyBody(headers: { "content-length"?: string | undefined; "transfer-encoding"?: string | undefined }): object {
  const sent = headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
  if (sent) throw new AppError("UNSUPPORTED_MEDIA_TYPE");
  return {};
}
