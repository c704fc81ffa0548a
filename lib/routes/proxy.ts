import { z } from "zod";
import { owner } from "../cluster/routing/where";
import { findUpstream } from "../docker/containers/published-port";
import type { DockerHost } from "../docker/docker-host";
import { integer } from "../http/fields";
import { type Route, route } from "../http/route";
import type { DocumentedRoute } from "../openapi/document";
import { toUrlHost } from "../support/url-host";
import { containerParams } from "./schemas/common";

const port = integer(1, 65535).optional().describe("The container's port, if it publishes several");

/**
 * Where the proxy to containers connects (docs/proxy.md, "Find the upstream"); proxied requests themselves never reach Express.
 * @param host this node's name
 */
export function proxyRoutes({ containers, engine }: Pick<DockerHost, "containers" | "engine">, host: string): Route[] {
  const show = route({
    method: "get",
    path: "/proxy/:id",
    where: owner,
    burst: "high",
    permission: "proxy",
    confined: "container",
    summary: "Where a container's published port is reached, as its node sees it",
    params: containerParams,
    query: z.object({ port }),
    responses: {
      200: {
        description: "The upstream",
        schema: z.object({ container_id: z.string(), upstream: z.string(), container_port: z.number(), host: z.string() }),
      },
    },
    async handler({ params, query }) {
      const { id } = await containers.find(params.id, { prefix: true });
      const upstream = await findUpstream(engine, id, query.port);
      return {
        container_id: id,
        upstream: `http://${toUrlHost(upstream.host)}:${upstream.port}`,
        container_port: upstream.container_port,
        host,
      };
    },
  });

  return [show];
}

const METHODS = ["get", "head", "post", "put", "patch", "delete", "options"] as const;

/** The operations of the proxy itself, for the OpenAPI document. */
export const proxyOperations: DocumentedRoute[] = METHODS.map((method) => ({
  method,
  path: "/proxy/:id/*path",
  where: owner,
  burst: "none",
  permission: "proxy",
  confined: "container",
  summary: "What the container serves at this path; WebSockets too",
  params: containerParams.extend({ path: z.string().describe("Path at the container, with its slashes, passed on as it is written") }),
  query: z.object({ port }),
  responses: {
    200: { description: "Whatever the container answers, with any status; at `--proxy_port` with a cookie that opens this path" },
  },
}));
