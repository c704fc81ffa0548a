import { isUtf8 } from "node:buffer";
import { z } from "zod";
import { zipTexts } from "../../archive/zip-write";
import { invalidField } from "../../errors";
import { integer, map, matching, text } from "../../http/fields";
import type { InProcessResponse } from "../../http/in-process";
import { readInput } from "../../http/input";
import { decodeBase64 } from "../../support/base64";
import { dropSplitStart, splitEndLength } from "../../support/utf8";
import { type Arguments, described, INTEGER, oneOf, REFERENCE, STATUS, TEXT, type ToolDeclaration } from "./declaration";

/** One answer's part of a file: more would fill the context of a model. */
const READ_BYTES = 100_000;
/** Of a page of a container. */
const PAGE_BYTES = 200_000;
/** For a page that is a stream without an end. */
const PAGE_WAIT_MS = 30_000;

const id = described(TEXT, "Name or id");
const path = described(TEXT, "Relative to /app, or absolute");
const CONTENT = { content: TEXT, encoding: TEXT };

const offsetArgument = z.object({ offset: integer(0, Number.MAX_SAFE_INTEGER).default(0) });
const filesArgument = z.object({
  files: map(text.min(1, "must be a path"), text, 'must be a map from path to text, such as {"boot.py": "…"}'),
});
const pageArguments = z.object({
  id: matching(/^[a-zA-Z0-9][\w.-]{0,254}$/, "must be the name or id of a container"),
  port: integer(1, 65_535).optional(),
  method: z.enum(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]).default("GET"),
  path: matching(/^\/[\x21-\x22\x24-\x7e]*$/, "must be a path that begins with a slash, percent-encoded").default("/"),
  body: text.optional(),
  content_type: matching(/^[\x20-\x7e]{1,200}$/, "must be a content type").optional(),
});

/** Text as it is, other bytes in base64. */
function toContent(bytes: Buffer): { content: string; encoding: "utf8" | "base64" } {
  return isUtf8(bytes) ? { content: bytes.toString(), encoding: "utf8" } : { content: bytes.toString("base64"), encoding: "base64" };
}

/** Whether an answer is an error of this server, and not of the container. To HEAD it has only headers. */
function isOwnError(headers: InProcessResponse["headers"], body: Buffer): boolean {
  if (headers["x-error-code"] === undefined) return false;
  return body.length === 0 ? headers["x-error-message"] !== undefined : body.toString().startsWith('{"error":');
}

/** The part of a file as it was answered; characters that the part's ends have cut are left out. */
function toFilePart({ status, headers, body }: InProcessResponse, { path: name, offset = 0 }: Arguments): object | undefined {
  // An empty file has no part that could be asked for.
  if (status === 416 && Number(offset) === 0) return { path: name, ...toContent(Buffer.alloc(0)), offset: 0, size: 0 };
  if (status >= 400) return undefined;
  const start = Number(offset);
  const size = Number(/\/(\d+)$/.exec(headers["content-range"] ?? "")?.[1] ?? body.length);
  const fromCharacter = start > 0 ? dropSplitStart(body) : body;
  const isLast = start + body.length >= size;
  const characters = isLast ? fromCharacter : fromCharacter.subarray(0, fromCharacter.length - splitEndLength(fromCharacter));
  const [part, begin] = isUtf8(characters) ? [characters, start + body.length - fromCharacter.length] : [body, start];
  const next = begin + part.length;
  return { path: name, ...toContent(part), offset: begin, size, ...(next < size ? { next_offset: next } : {}) };
}

/** The zip of an upload: the client's own, or one of its texts. */
async function toZip(files: unknown, zip: unknown): Promise<Buffer> {
  if ((files === undefined) === (zip === undefined)) throw invalidField("files", "or zip is needed, and not both");
  if (zip !== undefined) return decodeBase64(String(zip), "zip");
  const { files: texts } = readInput(filesArgument, { files });
  return zipTexts(texts).catch((error: Error) => {
    throw invalidField("files", `must be named by relative paths: ${error.message}`);
  });
}

/** Tools about files, and what a container serves. */
export const FILE_TOOLS: readonly ToolDeclaration[] = [
  {
    name: "list_files",
    description: "List a folder of a container",
    routes: { "": "GET /containers/:id/files" },
    arguments: { id, path },
    required: ["id"],
    answer: { ...REFERENCE, path: TEXT, entries: { type: "array", items: { type: "object" } } },
    effect: "reads",
  },
  {
    name: "read_file",
    description: "Read a file of a container; of a large one the first part, then further ones by next_offset",
    routes: { "": "GET /containers/:id/download" },
    arguments: { id, path, offset: described(INTEGER, "Bytes") },
    required: ["id", "path"],
    answer: { path: TEXT, ...CONTENT, size: INTEGER, next_offset: INTEGER },
    effect: "reads",
    toRequest({ id: _, offset, ...query }) {
      const start = readInput(offsetArgument, { offset }).offset;
      return { headers: { Range: `bytes=${start}-${start + READ_BYTES - 1}` }, query };
    },
    toAnswer: toFilePart,
  },
  {
    name: "write_files",
    description: "Write text files below a folder of a container (files: path to content), or unpack a zip there. Others stay",
    routes: { "": "POST /containers/:id/upload-zip" },
    arguments: {
      id,
      path: described(TEXT, "The folder; /app if absent"),
      files: { type: "object", additionalProperties: TEXT, description: 'Such as {"boot.py": "…"}' },
      zip: described(TEXT, "base64"),
    },
    required: ["id"],
    answer: { ...REFERENCE, path: TEXT, files: INTEGER, bytes: INTEGER },
    effect: "changes",
    async toRequest({ id: _, files, zip, ...query }) {
      return { headers: { "Content-Type": "application/zip" }, query, body: await toZip(files, zip) };
    },
  },
  {
    name: "http_request",
    description: "Ask the web server in a container for a page, as a browser would through this server's proxy",
    routes: { "": "GET /proxy/:id/*path" },
    arguments: {
      id,
      path: described(TEXT, "/ if absent"),
      method: oneOf("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"),
      body: TEXT,
      content_type: described(TEXT, "Of body; application/json if absent"),
      port: described(INTEGER, "The container's, if it publishes several"),
    },
    required: ["id"],
    answer: { status: STATUS, content_type: TEXT, location: TEXT, ...CONTENT, truncated: { type: "boolean" } },
    effect: "changes",
    toRequest({ node, ...rest }) {
      const { id: container, port, method, path: target, body, content_type } = readInput(pageArguments.strict(), rest);
      return {
        method,
        target: `/proxy/${container}${target}`,
        query: { ...(port === undefined ? {} : { port }), ...(node === undefined ? {} : { node }) },
        ...(body === undefined ? {} : { body: Buffer.from(body) }),
        headers: { Accept: "*/*", ...(content_type === undefined ? {} : { "Content-Type": content_type }) },
        limits: { bytes: PAGE_BYTES, ms: PAGE_WAIT_MS },
      };
    },
    toAnswer({ status, headers, body, truncated }) {
      if (isOwnError(headers, body)) return undefined;
      const whole = truncated ? body.subarray(0, body.length - splitEndLength(body)) : body;
      return {
        status,
        content_type: headers["content-type"] ?? "",
        ...(headers.location === undefined ? {} : { location: headers.location }),
        ...toContent(whole),
        ...(truncated ? { truncated } : {}),
      };
    },
  },
];
