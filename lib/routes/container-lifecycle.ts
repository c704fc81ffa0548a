import { z } from "zod";
import type { Where } from "../cluster/routing/where";
import type { ContainerSummary } from "../docker/containers/container-list";
import { inspectContainer } from "../docker/containers/inspect";
import type { NameClaims } from "../docker/create/runner";
import type { DockerHost } from "../docker/docker-host";
import { AppError, invalidField } from "../errors";
import { flag, integer } from "../http/fields";
import { type Route, route } from "../http/route";
import type { ManagedContainers } from "../managed/managed-containers";
import { readManagedSpec } from "../managed/managed-spec";
import type { LifecycleAction } from "../managed/states";
import { containerParams, newContainerName } from "./schemas/common";
import * as answers from "./schemas/container-answers";

const OWNER: Where = { at: "owner" };
const grace = z.object({ timeout: integer(0, 3600).optional().describe("Seconds that it is given to end before it is killed") });

/**
 * One container, wherever it is: what it is, and what moves it from one state to another (dockapi.md).
 * Those that are managed are moved only from the states that their document allows.
 * @param host this node's name
 * @param claims keep names to one container where there are other nodes
 */
export function containerLifecycleRoutes(docker: DockerHost, managed: ManagedContainers, host: string, claims?: NameClaims): Route[] {
  const find = (id: string) => docker.containers.find(id, { prefix: true });
  const { lifecycle } = docker;

  /** Does something to a container, and answers it as it is then. */
  async function after(given: string, work: (container: ContainerSummary) => Promise<void>) {
    const container = await find(given);
    await work(container);
    try {
      return answers.toContainerView(await docker.containers.find(readManagedSpec(container) ? container.name : container.id, { prefix: false }));
    } catch (error) {
      // One that goes when it ends has gone with its stop.
      if (!(error instanceof AppError && error.code === "CONTAINER_NOT_FOUND")) throw error;
      return answers.toContainerView({ ...container, state: "exited", ports: [] });
    }
  }

  /** Moves a container from one state to another. */
  const move = (given: string, action: LifecycleAction, work: (id: string) => Promise<void>) =>
    after(given, (container) => managed.changeState(container, action, work));

  const inspect = route({
    method: "get",
    path: "/containers/:id",
    where: OWNER,
    burst: "high",
    summary: "Inspect a container",
    tool: "inspect",
    params: containerParams,
    answers: answers.inspect,
    async handler({ params }) {
      const container = await find(params.id);
      return { ...answers.toContainerView(container), ...(await inspectContainer(docker.engine, container.id)) };
    },
  });

  const remove = route({
    method: "delete",
    path: "/containers/:id",
    where: OWNER,
    burst: "mid",
    summary: "Remove a container; a managed one with its volume",
    tool: "remove_container",
    params: containerParams,
    query: z.object({ force: flag.default(true).describe("Also while it runs") }),
    answers: answers.remove,
    async handler({ params, query }) {
      const container = await find(params.id);
      const { id, name, state } = container;
      if (readManagedSpec(container)) {
        if (!query.force && state !== "created" && state !== "exited") throw new AppError("STILL_RUNNING", { details: { id } });
        await managed.remove(container);
        return { id, name, removed: true, host };
      }
      await docker.runner.remove(id, query).catch((error: AppError) => {
        if (error.code !== "NOT_RUNNING") throw error;
        throw new AppError("STILL_RUNNING", { details: { id }, cause: error });
      });
      return { id, name, removed: true, host };
    },
  });

  const state = { method: "post", where: OWNER, burst: "mid", params: containerParams, answers: answers.lifecycle } as const;

  const start = route({
    ...state,
    path: "/containers/:id/start",
    summary: "Start a container",
    tool: "start",
    handler: ({ params }) => move(params.id, "start", (id) => lifecycle.start(id)),
  });

  const stop = route({
    ...state,
    path: "/containers/:id/stop",
    summary: "Stop a container; one that doesn't run stays as it is, and is a 422 if it is managed",
    tool: "stop",
    query: grace,
    handler: ({ params, query }) => move(params.id, "stop", (id) => lifecycle.stop(id, query.timeout)),
  });

  const restart = route({
    ...state,
    path: "/containers/:id/restart",
    summary: "Stop a container and start it again",
    tool: "restart",
    query: grace,
    handler: ({ params, query }) => move(params.id, "restart", (id) => lifecycle.restart(id, query.timeout)),
  });

  const pause = route({
    ...state,
    path: "/containers/:id/pause",
    summary: "Freeze the processes of a container",
    tool: "pause",
    handler: ({ params }) => move(params.id, "pause", (id) => lifecycle.pause(id)),
  });

  const unpause = route({
    ...state,
    path: "/containers/:id/unpause",
    summary: "Let the processes of a paused container go on",
    tool: "unpause",
    handler: ({ params }) => move(params.id, "unpause", (id) => lifecycle.unpause(id)),
  });

  const rename = route({
    ...state,
    path: "/containers/:id/rename",
    summary: "Give a container another name",
    tool: "rename",
    body: z.object({ name: newContainerName.describe("No container of any node has it") }),
    example: { name: "another-name" },
    handler: ({ params, body }) =>
      after(params.id, async (container) => {
        if (readManagedSpec(container)) throw invalidField("name", "can't be given to a managed container, whose name is its cuid");
        await lifecycle.rename(container.id, container.name, body.name, claims);
      }),
  });

  return [inspect, remove, start, stop, restart, pause, unpause, rename];
}
