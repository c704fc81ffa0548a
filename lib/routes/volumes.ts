import { bestNode, everyNode, volume } from "../cluster/routing/where";
import { Reply, type Route, route } from "../http/route";
import type { Volumes } from "../runs/volumes/named-volumes";
import {
  mergeVolumeLists,
  planVolume,
  volumeBody,
  volumeCreateResponses,
  volumeListResponses,
  volumeParams,
  volumeReadResponses,
  volumeRemoveResponses,
} from "./schemas/volume-schemas";

/**
 * Creates, lists, reads and removes named volumes (docs/runs.md, "Volumes").
 * @param host this node's name
 */
export function volumeRoutes(volumes: Volumes, host: string): Route[] {
  const create = route({
    method: "post",
    path: "/volume",
    where: bestNode(planVolume),
    burst: "low",
    permission: "volumes",
    confined: "handler",
    summary: "Create a volume, with content if any is given",
    body: volumeBody,
    example: { name: "my-volume" },
    responses: volumeCreateResponses,
    async handler({ body, access }) {
      await volumes.create({ ...body, content: body.content ?? undefined }, access);
      return new Reply(200, { status: "success", detail: "success" }, { "X-Volume-Host": host });
    },
  });

  const all = route({
    method: "get",
    path: "/volumes",
    where: everyNode(mergeVolumeLists),
    burst: "high",
    permission: "read",
    confined: "handler",
    summary: "List all volumes",
    responses: volumeListResponses,
    async handler({ access }) {
      return { volumes: (await volumes.list(access)).map((each) => ({ ...each, host })) };
    },
  });

  const one = route({
    method: "get",
    path: "/volumes/:name",
    where: volume,
    burst: "mid",
    permission: "volumes",
    confined: "volume",
    summary: "Read a volume with its content",
    params: volumeParams,
    responses: volumeReadResponses,
    async handler(call) {
      const { content, ...info } = await volumes.read(call.params.name, call.access);
      if (call.accepts("json", "application/gzip") === "application/gzip")
        return new Reply(200, content, { "Content-Type": "application/gzip" });
      return { ...info, content: content.toString("base64"), host };
    },
  });

  const remove = route({
    method: "delete",
    path: "/volumes/:name",
    where: volume,
    burst: "mid",
    permission: "volumes",
    confined: "volume",
    summary: "Remove a volume that no container uses",
    params: volumeParams,
    responses: volumeRemoveResponses,
    async handler({ params }) {
      await volumes.remove(params.name);
      return { name: params.name, removed: true, host };
    },
  });

  return [create, all, one, remove];
}
