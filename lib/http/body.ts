import express, { type RequestHandler, type Response } from "express";
import { parse } from "qs";
import { digestOf } from "../cluster/rpc/signatures";
import { AppError } from "../errors";
import { MAX_DRAINED_BYTES } from "../support/drain-body";

const JSON_TYPES = ["application/json", "application/*+json"];
const FORM_TYPE = "application/x-www-form-urlencoded";
/** Limits of a form. A repeated field (`data[]=a&data[]=b`) may have as many values as a form has fields. */
const FORM_LIMITS = { depth: 4, parameterLimit: 2000, arrayLimit: 2000 };

/**
 * Makes the middleware that reads a body: of JSON, which need not be an object, or of a form whose nested fields become maps
 * (`ports[80]=8080`); no body is an empty object.
 * @param limitBytes largest body
 */
export function bodyParsers(limitBytes: number): RequestHandler[] {
  const verify = (_request: unknown, response: unknown, bytes: Buffer) => checkSignedDigest(response as Response, bytes);
  // Express reads a too large body to its end, so that the client gets to see the error: this limits how much.
  const limitDraining: RequestHandler = (request, _response, next) => {
    let receivedBytes = 0;
    request.on("data", (chunk: Buffer) => {
      receivedBytes += chunk.length;
      if (receivedBytes > limitBytes + MAX_DRAINED_BYTES) request.destroy();
    });
    next();
  };
  const readParsed: RequestHandler = (request, response, next) => {
    if (typeof request.body === "string" && request.is(FORM_TYPE)) request.body = parseForm(request.body);
    else if (request.body === undefined) {
      checkSignedDigest(response, undefined);
      assertNoBody(request.headers);
      request.body = {};
    }
    next();
  };
  return [
    limitDraining,
    express.json({ limit: limitBytes, type: JSON_TYPES, strict: false, verify }),
    express.text({ limit: limitBytes, type: FORM_TYPE, defaultCharset: "utf-8", verify }),
    readParsed,
  ];
}

/** @throws AppError INVALID_BODY if another node has signed a different body */
function checkSignedDigest({ locals }: Pick<Response, "locals">, bytes: Buffer | undefined): void {
  const { peer } = locals;
  if (peer && peer.digest !== (bytes && digestOf(bytes)))
    throw new AppError("INVALID_BODY", { message: "The body is not the one that was signed" });
}

function parseForm(text: string): unknown {
  if (/^\s*\{/.test(text)) {
    throw new AppError("INVALID_BODY", {
      message: "The body looks like JSON but was sent as a form: send it with Content-Type: application/json",
    });
  }
  // Such as `command=sleep 1 && echo done`: no name of a field begins with a space.
  if (/&\s/.test(text)) {
    throw new AppError("INVALID_BODY", {
      message: "In a form & begins the next field: send a value that has one with curl's --data-urlencode, or the body as JSON",
    });
  }
  try {
    // Without parseArrays: false, `ports[80]=8080` would become a list without its key. List fields accept maps instead.
    return parse(text, { ...FORM_LIMITS, parseArrays: false, plainObjects: true, strictDepth: true, throwOnLimitExceeded: true });
  } catch (error) {
    throw new AppError("INVALID_BODY", { message: `The form can't be read: ${(error as Error).message}` });
  }
}

/** @throws AppError UNSUPPORTED_MEDIA_TYPE if there is a body that no parser has read */
function assertNoBody(headers: { "content-length"?: string | undefined; "transfer-encoding"?: string | undefined }): void {
  const hasBody = headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
  if (hasBody) throw new AppError("UNSUPPORTED_MEDIA_TYPE");
}
