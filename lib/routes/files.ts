import { z } from "zod";
import type { Access } from "../access/access";
import type { DiskBudget } from "../archive/read-ahead";
import type { FileOwner } from "../archive/zip-to-tar";
import type { Tickets } from "../auth/tickets";
import { owner } from "../cluster/routing/where";
import { APP_FOLDER } from "../docker/app-folder";
import type { DockerHost } from "../docker/docker-host";
import { AppError } from "../errors";
import { type FoundFile, findFile, openFile } from "../files/download";
import { zipFolder } from "../files/folder-zip";
import { listFolder } from "../files/listing";
import { uploadZip } from "../files/upload";
import { text } from "../http/fields";
import { Reply, type Route, route } from "../http/route";
import { containerParams, ticketResponses } from "./schemas/common";
import * as responses from "./schemas/file-responses";

/** uid:gid (docs/files.md, "Upload a zip"). */
const DEFAULT_OWNER = "1000:1000";

const containerPath = text
  .min(1, "must be a path")
  .max(4096, "must be a path")
  .describe(`In the container; a relative one is below ${APP_FOLDER}`);

const ticketField = (issuer: string) => z.string().min(1).optional().describe(`Instead of credentials, as \`POST ${issuer}\` gives it`);

/** What the ticket of a download opens: this file or folder as it was asked for, in one container. */
const downloadOf = (kind: "download" | "download-zip", id: string, path: string) => `${kind} ${id} ${path}`;

/**
 * Uploads, downloads and listings of files in a container, running or not (docs/files.md).
 * @param settings.upload_limit MB
 * @param settings.default_user_uid uid:gid of uploaded files; null: 1000:1000
 * @param host this node's name
 * @param disk for what clients have not read yet of their downloads
 */
export function fileRoutes(
  docker: DockerHost,
  settings: { upload_limit: number; default_user_uid: string | null },
  host: string,
  disk: DiskBudget,
  tickets: Tickets,
): Route[] {
  const { engine, containers, guard } = docker;
  const find = async (idOrName: string, access: Access) => {
    const container = await containers.find(idOrName, { prefix: true });
    await guard.checkEntry(container.id, access);
    return container;
  };
  const common = { where: owner, permission: "files", confined: "container", params: containerParams } as const;
  const folderQuery = z.object({ path: containerPath.default(APP_FOLDER) });
  const fileOwner = parseOwner(settings.default_user_uid ?? DEFAULT_OWNER);

  const upload = route({
    ...common,
    method: "post",
    path: "/containers/:id/upload-zip",
    burst: "low",
    summary: "Unpack a zip archive in a container",
    query: folderQuery,
    streamedBodyTypes: ["application/zip", "multipart/form-data"],
    responses: responses.upload,
    async handler(call) {
      const encoding = call.header("content-encoding") ?? "identity";
      if (encoding !== "identity") throw new AppError("UNSUPPORTED_MEDIA_TYPE", { message: `An archive in ${encoding} is not taken` });
      const { id, name } = await find(call.params.id, call.access);
      const limit = settings.upload_limit * 1_000_000;
      const uploaded = await uploadZip(engine, id, call.rawBody, {
        contentType: call.header("content-type") ?? "",
        folder: call.query.path,
        owner: fileOwner,
        limit,
        clientSignal: call.clientSignal,
      });
      return { id, name, ...uploaded, host };
    },
  });

  const fileQuery = z.object({ path: containerPath });
  const fileHeaders = ({ size, modifiedAt }: Pick<FoundFile, "size" | "modifiedAt">) => ({
    "Accept-Ranges": "bytes",
    "Cache-Control": "no-cache",
    "Content-Length": String(size),
    "Last-Modified": modifiedAt.toUTCString(),
  });

  const head = route({
    ...common,
    method: "head",
    path: "/containers/:id/download",
    burst: "mid",
    summary: "Whether a file is in a container, and its size",
    query: fileQuery,
    responses: responses.downloadHead,
    async handler(call) {
      const { id } = await find(call.params.id, call.access);
      const found = await findFile(engine, id, call.query.path);
      call.attachment(found.name);
      return new Reply(200, null, fileHeaders(found));
    },
  });

  const download = route({
    ...common,
    method: "get",
    path: "/containers/:id/download",
    burst: "mid",
    acceptsTicket: true,
    summary: "A file of a container, or with Range a part of it",
    query: fileQuery.extend({ ticket: ticketField("/containers/{id}/download/ticket") }),
    responses: responses.download,
    async handler(call) {
      const { id } = await find(call.params.id, call.access);
      tickets.redeem(call.query.ticket, downloadOf("download", id, call.query.path));
      const { path, name } = await findFile(engine, id, call.query.path);
      const file = await openFile(engine, id, path, disk);
      try {
        const part = isUnchanged(file, call.header("if-range")) ? call.range(file.size) : undefined;
        const { start, end } = part ?? { start: 0, end: file.size - 1 };
        const headers = fileHeaders({ size: end - start + 1, modifiedAt: file.modifiedAt });
        call.attachment(name);
        const ranged: Record<string, string> = part ? { "Content-Range": `bytes ${start}-${end}/${file.size}` } : {};
        return new Reply(part ? 206 : 200, file.bytes(start, end), { ...headers, ...ranged });
      } catch (error) {
        file.close();
        throw error;
      }
    },
  });

  const downloadZip = route({
    ...common,
    method: "get",
    path: "/containers/:id/download-zip",
    burst: "mid",
    acceptsTicket: true,
    summary: "A folder of a container as a zip archive",
    query: folderQuery.extend({ ticket: ticketField("/containers/{id}/download-zip/ticket") }),
    responses: responses.downloadZip,
    async handler(call) {
      const { id } = await find(call.params.id, call.access);
      tickets.redeem(call.query.ticket, downloadOf("download-zip", id, call.query.path));
      const { name, bytes } = await zipFolder(engine, id, call.query.path, disk);
      call.attachment(name);
      return new Reply(200, bytes, { "Content-Type": "application/zip", "Cache-Control": "no-cache" });
    },
  });

  const ticketCommon = { ...common, method: "post", burst: "low", responses: ticketResponses } as const;
  const fileTicket = route({
    ...ticketCommon,
    path: "/containers/:id/download/ticket",
    summary: "A ticket for one download of a file, for a page in a browser, which can't send credentials with it",
    query: fileQuery,
    async handler({ params, query, caller, access }) {
      const { id } = await find(params.id, access);
      // A browser shows no error of a download: the page is told here.
      await findFile(engine, id, query.path);
      return tickets.issue(downloadOf("download", id, query.path), caller.identity, access);
    },
  });

  const folderTicket = route({
    ...ticketCommon,
    path: "/containers/:id/download-zip/ticket",
    summary: "A ticket for one download of a folder",
    query: folderQuery,
    async handler({ params, query, caller, access }) {
      const { id } = await find(params.id, access);
      return tickets.issue(downloadOf("download-zip", id, query.path), caller.identity, access);
    },
  });

  const list = route({
    ...common,
    method: "get",
    path: "/containers/:id/files",
    burst: "mid",
    summary: "What is in a folder of a container",
    query: folderQuery,
    responses: responses.list,
    async handler({ params, query, access, clientSignal }) {
      const { id, name } = await find(params.id, access);
      return { id, name, ...(await listFolder(engine, id, query.path, clientSignal)), host };
    },
  });

  return [upload, head, download, fileTicket, downloadZip, folderTicket, list];
}

/**
 * Whether a file is the one that the client has a part of: a range of another one must not be added to that part (RFC 9110, section 13.1.5).
 * @param ifRange the header: the Last-Modified of the client's part; an entity tag is none of ours; undefined if it asks unconditionally
 */
function isUnchanged({ modifiedAt }: Pick<FoundFile, "modifiedAt">, ifRange: string | undefined): boolean {
  return ifRange === undefined || ifRange.trim() === modifiedAt.toUTCString();
}

/**
 * Parses uid or uid:gid; the gid defaults to the uid.
 * @throws Error for any other text, when the server starts
 */
function parseOwner(setting: string): FileOwner {
  const [, uid, gid] = /^(\d{1,10})(?::(\d{1,10}))?$/.exec(setting) ?? [];
  if (uid === undefined) throw new Error(`default_user_uid must be uid:gid, such as 1000:1000, not ${setting}`);
  return { uid: Number(uid), gid: Number(gid ?? uid) };
}
