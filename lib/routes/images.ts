import { z } from "zod";
import { type Access, refusedBy } from "../access/access";
import { everyNode, everyOutcome } from "../cluster/routing/where";
import type { DockerHost } from "../docker/docker-host";
import { type ImageSummary, listImages, removeImage } from "../docker/images/image-list";
import type { PulledImage, PullProgress } from "../docker/images/images";
import { resolveLogin } from "../docker/images/registry-login";
import { AppError } from "../errors";
import { flag } from "../http/fields";
import { Reply, type Route, type RouteCall, route, streamReply } from "../http/route";
import { type EventFormat, EventStream } from "../runs/jobs/event-stream";
import { settlesBefore } from "../support/settles-before";
import { warningFields } from "../support/warnings";
import { imageReference } from "./schemas/common";
import { mergeImageLists, mergePruned, mergePullOutcomes, mergeRemovalOutcomes } from "./schemas/image-outcomes";
import { imageListResponses, imagePruneResponses, imagePullBody, imagePullResponses, imageRemoveResponses } from "./schemas/image-schemas";

/**
 * Lists, pulls, prunes and removes images on all nodes (docs/containers.md, "Images").
 * @param host this node's name
 * @param settings.pull_wait seconds to wait for a pull
 */
export function imageRoutes(docker: DockerHost, settings: { pull_wait: number }, host: string): Route[] {
  const list = route({
    method: "get",
    path: "/images",
    where: everyNode(mergeImageLists),
    burst: "high",
    permission: "read",
    confined: "untouched",
    summary: "List all images",
    responses: imageListResponses,
    async handler({ access }) {
      return { images: (await listImages(docker.engine)).flatMap((each) => allowedNames(each, access)).map((each) => ({ ...each, host })) };
    },
  });

  const pull = route({
    method: "post",
    path: "/images/pull",
    where: everyOutcome(mergePullOutcomes),
    burst: "low",
    permission: "images",
    confined: "untouched",
    summary: "Pull an image on every node",
    body: imagePullBody,
    example: { image: "nginx:latest" },
    responses: imagePullResponses,
    async handler(call) {
      const { image, auth_config, platform } = call.body;
      call.access.assertImage(image);
      const { auth, warnings } = resolveLogin(image, auth_config);
      const result = ({ id, digest }: PulledImage) => ({
        image,
        status: "pulled",
        id,
        ...(digest ? { digest } : {}),
        ...warningFields(warnings),
        host,
      });
      const format = call.accepts("json", "text/event-stream", "application/x-ndjson");
      if (format === "text/event-stream" || format === "application/x-ndjson") {
        const startPull = (onProgress: (progress: PullProgress) => void) =>
          auth
            ? docker.images.pullWithLogin(image, auth, platform, onProgress)
            : docker.images.pullWithProgress(image, platform, onProgress);
        return streamProgress(format, startPull, result, call);
      }
      const pulling = auth ? docker.images.pullWithLogin(image, auth, platform) : docker.images.pull(image, platform);
      if (!(await settlesBefore(pulling, call.within(settings.pull_wait * 1000))))
        return new Reply(202, { image, status: "pulling", host });
      return result(await pulling);
    },
  });

  // The pull continues when the client disconnects: other requests may have joined it.
  function streamProgress(
    format: EventFormat,
    startPull: (onProgress: (progress: PullProgress) => void) => Promise<PulledImage>,
    result: (pulled: PulledImage) => object,
    call: Pick<RouteCall, "streamSignal">,
  ): Reply {
    const events = new EventStream(format);
    const pulling = startPull((progress) => {
      if (!events.isFull) void events.send("progress", { ...progress, host });
    });
    void settlesBefore(pulling, call.streamSignal).then(async (settled) => {
      if (!settled) return events.fail(new AppError("STOPPING"));
      await pulling.then(
        (image) => events.end("result", result(image)),
        (error: unknown) => events.fail(error),
      );
    });
    return streamReply(format, events.body);
  }

  const remove = route({
    method: "delete",
    path: "/images/*image",
    where: everyOutcome(mergeRemovalOutcomes),
    burst: "mid",
    permission: "images",
    summary: "Remove an image from every node",
    params: z.object({ image: imageReference.describe("Image reference, with its slashes, or an id") }),
    query: z.object({
      force: flag
        .default(false)
        .describe("Also where stopped containers are made of it; by a name also where a container runs, which loses only the name"),
    }),
    responses: imageRemoveResponses,
    async handler({ params, query, access }) {
      access.assertImage(params.image);
      const remove = () => removeImage(docker.engine, params.image, query.force);
      const removed = await remove().catch(async (error: unknown) => {
        const isUsed = error instanceof AppError && error.code === "IMAGE_IN_USE";
        if (isUsed && (await docker.images.release(params.image))) return remove();
        throw error;
      });
      return { image: params.image, removed: true, ...removed, host };
    },
  });

  const prune = route({
    method: "post",
    path: "/images/prune",
    where: everyNode(mergePruned),
    burst: "low",
    permission: "images",
    summary: "Remove images and build cache that nobody uses from every node",
    responses: imagePruneResponses,
    async handler({ access }) {
      // It removes whatever is unused, not what a token names.
      if (!access.allowsEveryImage) throw refusedBy("images", "It concerns all images");
      const { images, build_cache } = await docker.imagePruner.pruneUnused();
      return { images: images.map((each) => ({ ...each, host })), build_cache };
    },
  });

  return [list, pull, prune, remove];
}

/** The image with the names that a token permits; none if it permits no name of it. */
function allowedNames(image: ImageSummary, access: Access): ImageSummary[] {
  if (access.isFull) return [image];
  const tags = image.tags.filter((name) => access.allowsImage(name));
  const digests = image.digests.filter((name) => access.allowsImage(name));
  return tags.length + digests.length > 0 || access.allowsImage(image.id) ? [{ ...image, tags, digests }] : [];
}
