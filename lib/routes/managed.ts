import { bestNode, owner } from "../cluster/routing/where";
import { inspectContainer } from "../docker/containers/inspect";
import type { DockerHost } from "../docker/docker-host";
import type { AppError } from "../errors";
import { Reply, type Route, type RouteCall, route } from "../http/route";
import type { ManagedContainers, RequestedSpec } from "../managed/managed-containers";
import { readManagedSpec } from "../managed/managed-spec";
import { commandWarnings, warningFields } from "../support/warnings";
import { containerParams } from "./schemas/common";
import * as responses from "./schemas/container-responses";
import { toContainerView } from "./schemas/container-view";
import {
  changeBody,
  createBody,
  planManagedContainer,
  portsBody,
  toPortMappings,
  toRequestedSpec,
  toSpecChange,
} from "./schemas/managed-bodies";

/**
 * Managed containers: created first, started later, and changeable (docs/managed.md).
 * @param settings.pull_wait seconds to wait for an image's pull
 * @param host this node's name
 */
export function managedRoutes(docker: DockerHost, managed: ManagedContainers, settings: { pull_wait: number }, host: string): Route[] {
  const view = async (cuid: string) => toContainerView(await docker.containers.find(cuid, { prefix: false }));

  async function change(call: RouteCall<{ id: string }>, edit: (spec: RequestedSpec) => RequestedSpec): Promise<Reply | object> {
    const container = await docker.containers.find(call.params.id, { prefix: true });
    const startWait = () => call.within(settings.pull_wait * 1000);
    const progress = await managed.change(container, edit, call.access, startWait);
    const { name: cuid } = container;
    if (progress === "pulling") return new Reply(202, { cuid, image: readManagedSpec(container)?.image, status: progress, host });
    return view(cuid);
  }

  const create = route({
    method: "post",
    path: "/containers",
    where: bestNode(planManagedContainer),
    idempotent: true,
    burst: "low",
    permission: "containers",
    confined: "handler",
    summary: "Create a managed container, to be started later",
    body: createBody,
    example: {
      image: "python:3.12-slim",
      env: { APP_ENV: "production" },
      tags: ["web"],
      resources: { cpus: 1, memory: "4096m", pids: 2048 },
      ports: [{ host: 8080, container: 80, protocol: "tcp" }],
    },
    responses: responses.create,
    async handler(call) {
      const { cuid, image } = { ...call.body, cuid: call.body.cuid as string };
      const waitSignal = call.within(settings.pull_wait * 1000);
      const requested = toRequestedSpec(call.body, call.idempotencyKey);
      const labels = { ...requested.labels, ...call.access.labels };
      const created = await managed.create(
        cuid,
        { ...requested, labels },
        {
          access: call.access,
          waitSignal,
          callerSignal: call.callerSignal,
        },
      );
      call.markStarted();
      const told = warningFields(commandWarnings(requested.command ?? []));
      if (created === "pulling") return new Reply(202, { cuid, image, status: created, host, ...told });
      // As it was: the engine may not answer any more, and the container is there.
      return new Reply(201, { ...toContainerView(created), ...told }, { Location: `/containers/${cuid}` });
    },
  });

  const update = route({
    method: "patch",
    path: "/containers/:id",
    where: owner,
    burst: "low",
    permission: "containers",
    confined: "container",
    summary: "Change a managed container: it is made anew, what is in its /app stays, and if it ran it runs again",
    params: containerParams,
    body: changeBody,
    example: { env: { NEW_VAR: "value", OLD_VAR: null }, tags: ["updated", "v2"], resources: { memory: "8192m" } },
    responses: responses.change,
    handler: (call) => change(call, toSpecChange(call.body)),
  });

  const updatePorts = route({
    method: "patch",
    path: "/containers/:id/ports",
    where: owner,
    burst: "low",
    permission: "containers",
    confined: "container",
    summary: "Publish other ports of a managed container, which is made anew for it",
    params: containerParams,
    body: portsBody,
    example: { ports: [{ host: 3000, container: 3000, protocol: "tcp" }] },
    responses: responses.change,
    handler: (call) => change(call, (spec) => ({ ...spec, ports: toPortMappings(call.body.ports) })),
  });

  const status = route({
    method: "get",
    path: "/containers/:id/status",
    where: owner,
    burst: "high",
    permission: "read",
    confined: "container",
    summary: "How a container is",
    params: containerParams,
    responses: responses.status,
    // A change may replace the container between the list and the inspection: look again.
    handler: ({ params }) =>
      statusOf(params.id).catch((error: AppError) => {
        if (error.code !== "CONTAINER_NOT_FOUND") throw error;
        docker.containers.invalidate();
        return statusOf(params.id);
      }),
  });

  async function statusOf(idOrName: string): Promise<object> {
    const container = await docker.containers.find(idOrName, { prefix: true });
    const { labels: _, host_port: __, container_port: ___, ...rest } = toContainerView(container);
    const info = await inspectContainer(docker.engine, container.id);
    const { started, finished, exit_code, error, oom_killed, restart_count, health, health_output } = info;
    const running = rest.status === "running";
    return { ...rest, running, started, finished, exit_code, error, oom_killed, restart_count, health, health_output };
  }

  return [create, update, updatePorts, status];
}
