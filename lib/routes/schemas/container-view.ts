import { z } from "zod";
import type { ContainerSummary, PortSummary } from "../../docker/containers/container-list";
import { PORT_LABEL } from "../../docker/containers/published-port";
import { readManagedSpec, SPEC_LABEL } from "../../managed/managed-spec";

const port = z.object({ host_ip: z.string().optional(), host: z.number().optional(), container: z.number(), protocol: z.string() });

/** Schema of a container in the answers of the resource routes (docs/containers.md). */
export const containerView = z
  .object({
    id: z.string(),
    name: z.string(),
    image: z.string(),
    status: z.string().describe("created, running, paused, restarting, removing, exited or dead"),
    labels: z.record(z.string(), z.string()),
    host_port: z.number().nullable().describe("Where its port is published; null while it doesn't run"),
    container_port: z.number().nullable(),
    ports: z.array(port),
    created: z.string(),
    host: z.string().describe("the node"),
    cuid: z.string().optional().describe("of one that POST /containers has made; tags and resources, too"),
    tags: z.array(z.string()).optional(),
    resources: z.object({ cpus: z.number().optional(), memory: z.string().optional(), pids: z.number().optional() }).optional(),
    restart_policy: z.string().optional().describe("of one that POST /containers has made, as the next ones, if it was given one"),
    healthcheck: z.record(z.string(), z.unknown()).optional(),
    volumes: z.record(z.string(), z.string()).optional(),
    network: z.string().optional(),
    init: z.boolean().optional(),
    stop_timeout: z.number().optional(),
  })
  .meta({ title: "Container" });

/** A container in the answer of `POST /containers/run`. */
export const containerRunView = containerView.omit({ ports: true, created: true });

export type ContainerView = z.output<typeof containerView>;

/** Converts a container for an answer. `host_port` is the published port of its label's container port; without a label the first TCP port. */
export function toContainerView(container: ContainerSummary): ContainerView {
  const { id, name, image, state, labels, ports, created, host } = container;
  const labelledPort = Number(labels[PORT_LABEL]) || undefined;
  const published = ports.filter((each): each is PortSummary & { host: number } => each.protocol === "tcp" && each.host !== undefined);
  const chosen = published.find((each) => each.container === labelledPort) ?? (labelledPort === undefined ? published[0] : undefined);
  const container_port = chosen?.container ?? labelledPort ?? null;
  const view = { id, name, image, status: state, labels, host_port: chosen?.host ?? null, container_port, ports, created, host };
  return { ...view, ...managedFields(container) };
}

/** Fields of managed containers, taken from the desired spec: valid also while the container is stopped. */
function managedFields(container: ContainerSummary) {
  const spec = readManagedSpec(container);
  if (!spec) return {};
  const { [SPEC_LABEL]: _, ...labels } = container.labels;
  const ports = spec.ports.map(({ host, container: containerPort, protocol }) => {
    const found = host ?? container.ports.find((each) => each.container === containerPort && each.protocol === protocol)?.host;
    return { ...(found === undefined ? {} : { host: found }), container: containerPort, protocol };
  });
  const { restart_policy, healthcheck, volumes, network, init, stop_timeout } = spec;
  const given = Object.entries({ restart_policy, healthcheck, volumes, network, init, stop_timeout }).filter(
    ([, value]) => value !== undefined,
  );
  return {
    cuid: container.name,
    name: spec.name ?? container.name,
    image: spec.image,
    tags: spec.tags,
    resources: spec.resources,
    ports,
    labels,
    ...Object.fromEntries(given),
  };
}

/** Converts a container for the answer of `POST /containers/run`. */
export function toContainerRunView(container: ContainerSummary): Omit<ContainerView, "ports" | "created"> {
  const { ports: _, created: __, ...documented } = toContainerView(container);
  return documented;
}
