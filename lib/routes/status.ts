import { z } from "zod";
import { here } from "../cluster/routing/where";
import type { DockerHost } from "../docker/docker-host";
import { AppError, isUnavailable } from "../errors";
import type { Metrics } from "../http/metrics";
import { Reply, type Route, route } from "../http/route";
import { COMPOSE_MISSING_HINT } from "../managed/compose";
import type { ManagedContainers } from "../managed/managed-containers";

export interface Service {
  name: string;
  version: string;
  /** this node's name */
  host: string;
}

/**
 * Health, versions and metrics of this node.
 * @param docker this host's Docker
 * @param cluster undefined for a node alone
 * @param stopping whether the server is shutting down: then /health fails, so that load balancers send no more requests
 */
export function statusRoutes(
  docker: DockerHost,
  managed: ManagedContainers,
  service: Service,
  metrics: Metrics,
  cluster: { storeWasRead(): boolean; warnings(): string[] } | undefined,
  stopping: () => boolean,
): Route[] {
  const health = route({
    method: "get",
    path: "/health",
    where: here,
    burst: "none",
    permission: null,
    summary: "Whether this node and its engine answer",
    public: true,
    runsOnHead: true,
    responses: {
      200: {
        description: "They do",
        schema: z.object({ status: z.literal("ok"), docker: z.literal("ok"), host: z.string(), version: z.string() }),
      },
      503: { description: "The engine doesn't, or this node is stopping" },
    },
    async handler() {
      if (stopping()) throw new AppError("STOPPING");
      await docker.engine.assertAlive();
      return { status: "ok", docker: "ok", host: service.host, version: service.version };
    },
  });

  const connectivity = route({
    method: "get",
    path: "/healthz",
    where: here,
    burst: "high",
    permission: "read",
    confined: "untouched",
    summary: "Whether this node reaches its engine, and which it is",
    runsOnHead: true,
    responses: {
      200: {
        description: "It does",
        schema: z.object({
          status: z.literal("ok"),
          docker: z.literal("ok"),
          docker_version: z.string(),
          compose_version: z.string().nullable().describe("null if docker compose isn't installed"),
          hint: z.string().optional().describe("what to install or to upgrade on this host"),
          host: z.string(),
          complete: z.boolean().optional().describe("in a cluster: whether the store was read since the start"),
          warnings: z
            .array(z.string())
            .optional()
            .describe("in a cluster: nodes that use one engine or have one name, records that can't be read"),
        }),
      },
      503: { description: "It doesn't" },
    },
    async handler() {
      await docker.engine.assertAlive(0);
      const { Version } = await docker.engine.call((api) => api.version());
      const compose_version = await managed.compose.version();
      const hint = (await docker.cliCheck.refresh()) ?? (compose_version === null ? COMPOSE_MISSING_HINT : undefined);
      const answer = { status: "ok", docker: "ok", docker_version: Version, compose_version, host: service.host, ...clusterState() };
      return hint === undefined ? answer : { ...answer, hint };
    },
  });

  const clusterState = () => (cluster ? { complete: cluster.storeWasRead(), warnings: cluster.warnings() } : {});

  const version = route({
    method: "get",
    path: "/version",
    where: here,
    burst: "high",
    permission: "read",
    confined: "untouched",
    summary: "Versions of this server and its engine",
    responses: {
      200: {
        description: "Versions",
        schema: z.object({ version: z.string(), host: z.string(), docker: z.record(z.string(), z.unknown()) }),
      },
    },
    async handler() {
      await docker.engine.assertAlive();
      const engine = await docker.engine.call((api) => api.version());
      return { version: service.version, host: service.host, docker: engine };
    },
  });

  const prometheus = route({
    method: "get",
    path: "/metrics",
    where: here,
    burst: "high",
    permission: "nodes",
    summary: "Numbers for Prometheus",
    responses: { 200: { description: "Metrics", contentType: "text/plain" } },
    async handler() {
      const containers = await docker.containers.read().catch((error: unknown) => {
        if (isUnavailable(error)) return undefined;
        throw error;
      });
      return new Reply(200, await metrics.text(containers?.containers.map((container) => container.state)), {
        "Content-Type": metrics.contentType,
      });
    },
  });

  return [health, connectivity, version, prometheus];
}
