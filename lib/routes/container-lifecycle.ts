import { z } from "zod";
import { owner } from "../cluster/routing/where";
import type { ContainerSummary } from "../docker/containers/container-list";
import { nameAndLabels } from "../docker/containers/container-summary";
import { inspectContainer } from "../docker/containers/inspect";
import type { DockerHost } from "../docker/docker-host";
import { AppError, invalidField } from "../errors";
import { flag } from "../http/fields";
import { type Route, route } from "../http/route";
import type { ManagedContainers } from "../managed/managed-containers";
import { readManagedSpec } from "../managed/managed-spec";
import type { LifecycleAction } from "../managed/states";
import { containerParams, newContainerName } from "./schemas/common";
import * as responses from "./schemas/container-responses";
import { toContainerView } from "./schemas/container-view";
import { stopTimeout } from "./schemas/run-fields";

/** Of a stop, in the query or in the body. */
const stopFields = z.object({ timeout: stopTimeout.optional() });

/**
 * Inspects one container and changes its state (docs/containers.md, "Lifecycle"). Managed containers change only from the states that
 * docs/managed.md, "States", lists.
 * @param host this node's name
 */
export function containerLifecycleRoutes(docker: DockerHost, managed: ManagedContainers, host: string): Route[] {
  const find = (id: string) => docker.containers.find(id, { prefix: true });
  const { lifecycle } = docker;

  /** Runs `work` on a container and answers the container's state afterwards. */
  async function viewAfter(idOrName: string, work: (container: ContainerSummary) => Promise<void>) {
    const container = await find(idOrName);
    await work(container);
    try {
      return toContainerView(await docker.containers.find(readManagedSpec(container) ? container.name : container.id, { prefix: false }));
    } catch (error) {
      // A stopped container with auto_remove no longer exists.
      if (!(error instanceof AppError && error.code === "CONTAINER_NOT_FOUND")) throw error;
      return toContainerView({ ...container, state: "exited", ports: [] });
    }
  }

  /** Runs a lifecycle action on a container and answers its state afterwards. */
  const changeState = (idOrName: string, action: LifecycleAction, work: (id: string) => Promise<void>) =>
    viewAfter(idOrName, (container) => managed.changeState(container, action, work));

  const timeoutOf = ({ query, body }: { query: { timeout?: number | undefined }; body: { timeout?: number | undefined } }) => {
    if (query.timeout !== undefined && body.timeout !== undefined)
      throw invalidField("timeout", "is in the query and in the body: give one of the two");
    return query.timeout ?? body.timeout;
  };

  const inspect = route({
    method: "get",
    path: "/containers/:id",
    where: owner,
    burst: "high",
    permission: "read",
    confined: "container",
    summary: "Inspect a container",
    params: containerParams,
    responses: responses.inspect,
    async handler({ params, access }) {
      const container = await find(params.id);
      const details = await inspectContainer(docker.engine, container.id);
      // Whoever may run commands in the container can read its environment anyway.
      return { ...toContainerView(container), ...details, env: access.can("exec") ? details.env : {} };
    },
  });

  const remove = route({
    method: "delete",
    path: "/containers/:id",
    where: owner,
    burst: "mid",
    permission: "containers",
    confined: "container",
    summary: "Remove a container; a managed one with its volume",
    params: containerParams,
    query: z.object({ force: flag.default(true).describe("Also while it runs") }),
    responses: responses.remove,
    async handler({ params, query }) {
      const info = await docker.containers.findAndInspect(params.id, { prefix: true });
      const { Status } = info.State;
      const id = info.Id;
      const container = nameAndLabels(info);
      const { name } = container;
      if (readManagedSpec(container)) {
        if (!query.force && Status !== "created" && Status !== "exited") throw new AppError("STILL_RUNNING", { details: { id } });
        await managed.remove(container);
        return { id, name, removed: true, host };
      }
      await docker.runner.remove(id, { ...query, info }).catch((error: AppError) => {
        if (error.code !== "NOT_RUNNING") throw error;
        throw new AppError("STILL_RUNNING", { details: { id }, cause: error });
      });
      return { id, name, removed: true, host };
    },
  });

  const lifecycleRoute = {
    method: "post",
    where: owner,
    burst: "mid",
    permission: "containers",
    confined: "container",
    params: containerParams,
    responses: responses.lifecycle,
  } as const;

  const start = route({
    ...lifecycleRoute,
    path: "/containers/:id/start",
    summary: "Start a container",
    handler: ({ params, access }) =>
      changeState(params.id, "start", async (id) => {
        await docker.quotas.assertWithin(access);
        await lifecycle.start(id, access);
      }),
  });

  const stop = route({
    ...lifecycleRoute,
    path: "/containers/:id/stop",
    summary: "Stop a container; one that doesn't run stays as it is, and is a 422 if it is managed",
    query: stopFields,
    body: stopFields,
    handler: (call) => changeState(call.params.id, "stop", (id) => lifecycle.stop(id, timeoutOf(call))),
  });

  const restart = route({
    ...lifecycleRoute,
    path: "/containers/:id/restart",
    summary: "Stop a container and start it again",
    query: stopFields,
    body: stopFields,
    handler: (call) =>
      changeState(call.params.id, "restart", async (id) => {
        await docker.quotas.assertWithin(call.access);
        await lifecycle.restart(id, call.access, timeoutOf(call));
      }),
  });

  const pause = route({
    ...lifecycleRoute,
    path: "/containers/:id/pause",
    summary: "Freeze the processes of a container",
    handler: ({ params }) => changeState(params.id, "pause", (id) => lifecycle.pause(id)),
  });

  const unpause = route({
    ...lifecycleRoute,
    path: "/containers/:id/unpause",
    summary: "Let the processes of a paused container go on",
    handler: ({ params }) => changeState(params.id, "unpause", (id) => lifecycle.unpause(id)),
  });

  const rename = route({
    ...lifecycleRoute,
    path: "/containers/:id/rename",
    summary: "Give a container another name",
    body: z.object({ name: newContainerName.describe("No container of any node has it") }),
    example: { name: "another-name" },
    handler: ({ params, body }) =>
      viewAfter(params.id, async (container) => {
        if (readManagedSpec(container)) throw invalidField("name", "of a managed container is changed by PATCH /containers/{id}");
        await lifecycle.rename(container.id, container.name, body.name);
      }),
  });

  return [inspect, remove, start, stop, restart, pause, unpause, rename];
}
