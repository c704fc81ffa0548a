import { bestNode, everyNode } from "../cluster/routing/where";
import { waitUntilReady } from "../docker/containers/readiness";
import type { RunSpec } from "../docker/create/run-spec";
import type { DockerHost } from "../docker/docker-host";
import type { AppError } from "../errors";
import { Reply, type Route, type RouteCall, route } from "../http/route";
import { outputFields } from "../support/tail-buffer";
import { warningFields } from "../support/warnings";
import { mergePages, pageQuery, toPage } from "./schemas/container-pages";
import * as responses from "./schemas/container-responses";
import { containerRunBody, planContainerRun, toBadRequest, toContainerRunSpec, toReadiness } from "./schemas/container-run";
import { toContainerRunView } from "./schemas/container-view";

export interface ContainerRunSettings {
  /** seconds */
  run_wait: number;
  /** seconds */
  pull_wait: number;
  /** MB */
  output_limit: number;
}

/**
 * The list of containers, and `POST /containers/run`, which runs a container that serves a port (docs/containers.md).
 * @param docker this host's Docker
 * @param host this node's name
 */
export function containerListRoutes(docker: DockerHost, settings: ContainerRunSettings, host: string): Route[] {
  const list = route({
    method: "get",
    path: "/containers",
    where: everyNode(mergePages),
    burst: "high",
    permission: "read",
    confined: "handler",
    summary: "List managed containers, page by page",
    query: pageQuery,
    responses: responses.list,
    async handler({ query, access }) {
      const { containers } = await docker.containers.read();
      return toPage(access.labels ? await docker.confinement.filter(containers, access.labels) : containers, query);
    },
  });

  const run = route({
    method: "post",
    path: "/containers/run",
    where: bestNode(planContainerRun),
    idempotent: true,
    burst: "low",
    permission: "containers",
    confined: "handler",
    summary: "Run a container and publish a port of it",
    body: containerRunBody,
    example: { image: "nginx:latest", container_port: 80, host_port: 0, name: "nginx-demo", wait_ready: true, health_path: "/" },
    responses: responses.run,
    async handler(call) {
      const { spec, warnings } = toContainerRunSpec(call.body, call.idempotencyKey);
      const { detach, image } = call.body;
      const outcome = await docker.runner
        .run(spec, {
          detach,
          outputLimit: settings.output_limit * 1_000_000,
          waitSignal: call.within((detach ? settings.pull_wait : settings.run_wait) * 1000),
          access: call.access,
          cancelSignal: call.callerSignal,
          onStarted: call.markStarted,
        })
        .catch((error: AppError) => {
          throw toBadRequest(error);
        });
      if (outcome.status === "pulling")
        return new Reply(202, { name: spec.name, image, status: "pulling", host, ...warningFields(warnings) });
      if (outcome.status === "exited") {
        const { id, exit_code, ...output } = outcome;
        return { ...endedView(id, spec, call.body.container_port), exit_code, ...outputFields(output), ...warningFields(warnings) };
      }
      call.markStarted();
      const view = await startedView(outcome.id, spec, call);
      return detach ? { ...view, ...warningFields(warnings) } : new Reply(202, { ...view, ...warningFields(warnings) });
    },
  });

  // A container that is not ready in time is kept for inspection, unless auto_remove is set.
  async function startedView(
    id: string,
    spec: RunSpec,
    call: RouteCall<unknown, unknown, ReturnType<typeof containerRunBody.parse>>,
  ): Promise<object> {
    const readiness = toReadiness(call.body);
    if (readiness) {
      await waitUntilReady(docker.engine, docker.logs, id, readiness, call.streamSignal).catch(async (error: AppError) => {
        if (spec.remove && error.code === "NOT_READY") await docker.runner.remove(id).catch(() => undefined);
        throw error;
      });
    }
    return docker.containers.find(id, { prefix: false }).then(toContainerRunView, (error: AppError) => {
      if (error.code !== "CONTAINER_NOT_FOUND") throw error;
      return endedView(id, spec, call.body.container_port);
    });
  }

  // For a container that has ended and may already be removed.
  const endedView = (id: string, { name, image, labels }: RunSpec, container_port: number) => {
    return { id, name, image, status: "exited", labels, host_port: null, container_port, host };
  };

  return [list, run];
}
