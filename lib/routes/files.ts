import { z } from "zod";
import type { FileOwner } from "../archive/zip-to-tar";
import type { Where } from "../cluster/routing/where";
import type { DockerHost } from "../docker/docker-host";
import { AppError } from "../errors";
import { APP_FOLDER } from "../files/container-paths";
import { type FoundFile, findFile, openFile } from "../files/download";
import { zipFolder } from "../files/folder-zip";
import { listFolder } from "../files/listing";
import { uploadZip } from "../files/upload";
import { text } from "../http/fields";
import { Reply, type Route, route } from "../http/route";
import { containerParams } from "./schemas/common";
import * as answers from "./schemas/file-answers";

const OWNER: Where = { at: "owner" };
/** As container-management-api.md shows it. */
const DEFAULT_OWNER = "1000:1000";

const somePath = text.min(1, "must be a path").max(4096, "must be a path").describe(`In the container; a relative one is below ${APP_FOLDER}`);

/**
 * Files of a container, running or not, wherever it is (container-management-api.md).
 * @param settings.upload_limit MB
 * @param settings.default_user_uid uid:gid of what is uploaded
 * @param host this node's name
 */
export function fileRoutes(docker: DockerHost, settings: { upload_limit: number; default_user_uid: string | null }, host: string): Route[] {
  const { engine, containers } = docker;
  const find = (id: string) => containers.find(id, { prefix: true });
  const common = { where: OWNER, params: containerParams } as const;
  const folder = z.object({ path: somePath.default(APP_FOLDER) });
  const owner = parseOwner(settings.default_user_uid ?? DEFAULT_OWNER);

  const upload = route({
    ...common,
    method: "post",
    path: "/containers/:id/upload-zip",
    burst: "low",
    summary: "Unpack a zip archive in a container",
    query: folder,
    streams: ["application/zip", "multipart/form-data"],
    answers: answers.upload,
    async handler(call) {
      const encoding = call.header("content-encoding") ?? "identity";
      if (encoding !== "identity") throw new AppError("UNSUPPORTED_MEDIA_TYPE", { message: `An archive in ${encoding} is not taken` });
      const { id, name } = await find(call.params.id);
      const limit = settings.upload_limit * 1_000_000;
      const uploaded = await uploadZip(engine, id, call.rawBody, {
        contentType: call.header("content-type") ?? "",
        folder: call.query.path,
        owner,
        limit,
      });
      return { id, name, ...uploaded, host };
    },
  });

  const fileQuery = z.object({ path: somePath });
  const described = ({ size, modifiedAt }: Pick<FoundFile, "size" | "modified">) => ({
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
    answers: answers.downloadHead,
    async handler(call) {
      const { id } = await find(call.params.id);
      const found = await findFile(engine, id, call.query.path);
      call.attachment(found.name);
      return new Reply(200, null, described(found));
    },
  });

  const download = route({
    ...common,
    method: "get",
    path: "/containers/:id/download",
    burst: "mid",
    summary: "A file of a container, or with Range a part of it",
    query: fileQuery,
    answers: answers.download,
    async handler(call) {
      const { id } = await find(call.params.id);
      const { path, name, modifiedAt } = await findFile(engine, id, call.query.path);
      const file = await openFile(engine, id, path);
      try {
        const part = call.range(file.size);
        const { start, end } = part ?? { start: 0, end: file.size - 1 };
        const headers = described({ size: end - start + 1, modifiedAt: modified });
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
    summary: "A folder of a container as a zip archive",
    query: folder,
    answers: answers.downloadZip,
    async handler(call) {
      const { id } = await find(call.params.id);
      const { name, bytes } = await zipFolder(engine, id, call.query.path);
      call.attachment(name);
      return new Reply(200, bytes, { "Content-Type": "application/zip", "Cache-Control": "no-cache" });
    },
  });

  const list = route({
    ...common,
    method: "get",
    path: "/containers/:id/files",
    burst: "mid",
    summary: "What is in a folder of a container",
    tool: "list_files",
    query: folder,
    answers: answers.list,
    async handler({ params, query, clientSignal }) {
      const { id, name } = await find(params.id);
      return { id, name, ...(await listFolder(engine, id, query.path, clientSignal)), host };
    },
  });

  return [upload, head, download, downloadZip, list];
}

/** @throws Error at the start if it can't be read */
function parseOwner(setting: string): FileOwner {
  const [, uid, gid] = /^(\d{1,9})(?::(\d{1,9}))?$/.exec(setting) ?? [];
  if (uid === undefined) throw new Error(`default_user_uid must be uid:gid, such as 1000:1000, not ${setting}`);
  return { uid: Number(uid), gid: Number(gid ?? uid) };
}
