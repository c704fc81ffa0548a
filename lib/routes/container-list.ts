import { bestNode, everyNode } from "../cluster/routing/where";
import { untilReady } from "../docker/containers/readiness";
import type { RunSpec } from "../docker/create/run-spec";
import type { NameClaims } from "../docker/create/runner";
import type { DockerHost } from "../docker/docker-host";
import { AppError } from "../errors";
import { Reply, type Route, type RouteCall, route } from "../http/route";
import { outputFields } from "../support/tail-buffer";
import * as answers from "./schemas/container-answers";
import { mergePages, toPage, pageQuery } from "./schemas/container-pages";
import { toBadRequest, planContainerRun, toReadiness, containerRunBody, toContainerRunSpec } from "./schemas/container-run";

export interface ContainerRunSettings {
  /** seconds */
  run_wait: number;
  /** seconds */
  pull_wait: number;
  /** MB */
  output_limit: number;
}

/**
 * The containers of all nodes: their list, and those that serve a port (dockapi.md).
 * @param docker this host's
 * @param host this node's name
 * @param claims keep names to one container where there are other nodes
 */
export function containerListRoutes(docker: DockerHost, settings: ContainerRunSettings, host: string, claims?: NameClaims): Route[] {
  const list = route({
    method: "get",
    path: "/containers",
    where: everyNode(mergePages),
    burst: "high",
    summary: "List managed containers, page by page",
    tool: "containers",
    query: pageQuery,
    answers: answers.list,
    async handler({ query }) {
      return toPage((await docker.containers.read()).containers, query);
    },
  });

  const run = route({
    method: "post",
    path: "/containers/run",
    where: bestNode(planContainerRun),
    keyed: true,
    burst: "low",
    summary: "Run a container and publish a port of it",
    tool: "run_service",
    body: containerRunBody,
    example: { image: "nginx:latest", container_port: 80, host_port: 0, name: "nginx-demo", wait_ready: true, health_path: "/" },
    answers: answers.run,
    async handler(call) {
      const { spec, warnings } = toContainerRunSpec(call.body, call.idempotencyKey);
      const { detach, image } = call.body;
      const warned = warnings.length > 0 ? { warnings } : {};
      const outcome = await docker.runner
        .run(spec, {
          detach,
          limit: settings.output_limit * 1_000_000,
          enough: call.within((detach ? settings.pull_wait : settings.run_wait) * 1000),
          abandoned: call.callerSignal,
          started: call.markStarted,
          claims,
        })
        .catch((error: AppError) => {
          throw toBadRequest(error);
        });
      if (outcome.status === "pulling") return new Reply(202, { name: spec.name, image, status: "pulling", host, ...warned });
      if (outcome.status === "exited") {
        const { id, exit_code, ...output } = outcome;
        return { ...endedView(id, spec, call.body.container_port), exit_code, ...outputFields(output), ...warned };
      }
      call.markStarted();
      try {
        const view = await started(outcome.id, spec, call);
        return detach ? { ...view, ...warned } : new Reply(202, { ...view, ...warned });
      } catch (error) {
        // It runs: no other node is to run it again.
        if (error instanceof AppError) error.details.begun = true;
        throw error;
      }
    },
  });

  // One that isn't ready stays as it is, to be looked into; but who wants it to go when it ends has no use for it.
  async function started(
    id: string,
    spec: RunSpec,
    call: RouteCall<unknown, unknown, ReturnType<typeof containerRunBody.parse>>,
  ): Promise<object> {
    const readiness = toReadiness(call.body);
    if (readiness) {
      await untilReady(docker.engine, docker.logs, id, readiness, call.streamSignal).catch(async (error: AppError) => {
        if (spec.remove && error.code === "NOT_READY") await docker.runner.remove(id).catch(() => undefined);
        throw error;
      });
    }
    return docker.containers.find(id, { prefix: false }).then(answers.toContainerRunView, (error: AppError) => {
      if (error.code !== "CONTAINER_NOT_FOUND") throw error;
      return endedView(id, spec, call.body.container_port);
    });
  }

  // One that has ended and is gone, or is about to.
  const endedView = (id: string, { name, image, labels }: RunSpec, container_port: number) => {
    return { id, name, image, status: "exited", labels, host_port: null, container_port, host };
  };

  return [list, run];
}
