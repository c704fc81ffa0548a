import { z } from "zod";
import type { Responses } from "./common";

const containerRef = { id: z.string(), name: z.string(), host: z.string().describe("the node") };
const path = z.string().describe("absolute, without links");

export const upload: Responses = {
  200: {
    description: "All of the archive is in the container",
    schema: z.object({ ...containerRef, path, files: z.number(), bytes: z.number().describe("unpacked") }),
  },
  409: { description: "The place is read-only, or something of another kind has a name of the archive" },
  413: { description: "The archive, or what it unpacks to, is larger than upload_limit" },
};

const fileHeaders = {
  "Content-Length": "size, in bytes",
  "Content-Disposition": "its name",
  "Last-Modified": "when it was changed",
  "Accept-Ranges": "bytes",
};

export const download: Responses = {
  200: { description: "The file", contentType: "application/octet-stream", headers: fileHeaders },
  206: {
    description: "The part that Range asks for",
    contentType: "application/octet-stream",
    headers: { ...fileHeaders, "Content-Range": "the part, and the size of all" },
  },
  416: { description: "The file has no such part" },
};

export const downloadHead: Responses = { 200: { description: "The file is there", headers: fileHeaders } };

export const downloadZip: Responses = {
  200: {
    description: "A zip of what is in the folder; its comment names what was left out, which are links",
    contentType: "application/zip",
  },
};

export const list: Responses = {
  200: {
    description: "What is in the folder, by name",
    schema: z.object({
      ...containerRef,
      path,
      entries: z.array(
        z.object({
          name: z.string(),
          type: z.enum(["file", "directory", "link", "other"]),
          size: z.number().describe("bytes"),
          mode: z.string().describe("octal"),
          modified: z.string(),
          target: z.string().optional().describe("of a link"),
        }),
      ),
      complete: z.boolean().describe("false if there was more than could be looked at"),
    }),
  },
};
