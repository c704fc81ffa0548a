import { z } from "zod";
import type { ContainerSummary, PortSummary } from "../../docker/containers/container-list";
import { PORT_LABEL } from "../../docker/containers/published-port";
import type { AnswerDoc } from "../../http/route";
import { readManagedSpec, SPEC_LABEL } from "../../managed/managed-spec";
import { outputSchema } from "./common";

const port = z.object({ host_ip: z.string().optional(), host: z.number().optional(), container: z.number(), protocol: z.string() });

/** A container as the resource routes answer it (dockapi.md). */
const containerView = z.object({
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
});

export type ContainerView = z.output<typeof containerView>;

/** The port that a container was published for, or else its first. */
export function toContainerView(container: ContainerSummary): ContainerView {
  const { id, name, image, state, labels, ports, created, host } = container;
  const labelled = Number(labels[PORT_LABEL]) || undefined;
  const published = ports.filter((each): each is PortSummary & { host: number } => each.protocol === "tcp" && each.host !== undefined);
  const chosen = published.find((each) => each.container === labelled) ?? (labelled === undefined ? published[0] : undefined);
  const container_port = chosen?.container ?? labelled ?? null;
  const view = { id, name, image, status: state, labels, host_port: chosen?.host ?? null, container_port, ports, created, host };
  return { ...view, ...managedFields(container) };
}

/** What else is told of a managed one: what it is to be, also while it doesn't run. */
function managedFields(container: ContainerSummary) {
  const kept = readManagedSpec(container);
  if (!kept) return {};
  const { [SPEC_LABEL]: _, ...labels } = container.labels;
  const ports = kept.ports.map(({ host, container: inside, protocol }) => {
    const found = host ?? container.ports.find((each) => each.container === inside && each.protocol === protocol)?.host;
    return { ...(found === undefined ? {} : { host: found }), container: inside, protocol };
  });
  return { cuid: container.name, image: kept.image, tags: kept.tags, resources: kept.resources, ports, labels };
}

/** What `POST /containers/run` answers of a container. */
export function toContainerRunView(container: ContainerSummary): Omit<ContainerView, "ports" | "created"> {
  const { ports: _, created: __, ...documented } = toContainerView(container);
  return documented;
}

type Answers = Record<number, AnswerDoc>;

const containerRef = { id: z.string(), name: z.string(), host: containerView.shape.host };
const { ports: _, created: __, ...documented } = containerView.shape;
const warnings = z.array(z.string()).optional();

export const list: Answers = {
  200: {
    description: "One page, the newest first; of several nodes with whether that is all of them, and who is missing",
    schema: z.object({
      containers: z.array(containerView),
      next_cursor: z.string().nullable().describe("The cursor of the next page; null at the end"),
      complete: z.boolean().optional(),
      missing: z.array(z.string()).optional(),
    }),
  },
};

export const run: Answers = {
  200: {
    description: "It runs, and is ready if that was waited for; without detach: it has ended",
    schema: z.object({
      ...documented,
      exit_code: z.number().optional(),
      ...z.object(outputSchema).partial().shape,
      warnings,
      repeated: z.literal(true).optional().describe("present if the same Idempotency-Key had made it before"),
    }),
  },
  202: {
    description: "Its image is still being pulled, or without detach it still runs; it goes on",
    schema: z.object({
      id: z.string().optional(),
      name: z.string(),
      image: z.string(),
      status: z.string(),
      host: containerView.shape.host,
      warnings,
    }),
  },
  504: { description: "It was not ready in time; it is left as it is, unless auto_remove is set, and the error tells the end of its log" },
};

export const inspect: Answers = {
  200: {
    description: "The container",
    schema: containerView.extend({
      command: z.array(z.string()),
      started: z.string().nullable(),
      finished: z.string().nullable(),
      exit_code: z.number().nullable(),
      restart_count: z.number(),
      health: z.string().nullable().describe("starting, healthy or unhealthy, if it has a check"),
      env: z.record(z.string(), z.string()),
      mounts: z.array(z.object({ type: z.string(), source: z.string(), target: z.string(), read_only: z.boolean() })),
      networks: z.record(z.string(), z.string()).describe("its address in each"),
      restart_policy: z.string(),
      auto_remove: z.boolean(),
    }),
  },
};

export const lifecycle: Answers = { 200: { description: "The container as it is now", schema: containerView } };

const cuid = z.string();
const pulling = z.object({ cuid, image: z.string(), status: z.literal("pulling"), host: containerView.shape.host });

export const create: Answers = {
  200: {
    description: "The same Idempotency-Key has made it before",
    schema: z.object({ ...containerRef, cuid, status: z.string(), repeated: z.literal(true) }),
  },
  201: { description: "Created, and not started", schema: containerView, headers: { Location: "Its path" } },
  202: { description: "Its image is still being pulled; then it is created", schema: pulling },
};

export const change: Answers = {
  200: { description: "The container as it is now", schema: containerView },
  202: { description: "Its new image is still being pulled, and nothing has changed; the same request again joins", schema: pulling },
};

export const status: Answers = {
  200: {
    description: "How it is",
    schema: containerView
      .pick({
        id: true,
        name: true,
        image: true,
        status: true,
        ports: true,
        created: true,
        host: true,
        cuid: true,
        tags: true,
        resources: true,
      })
      .extend({
        running: z.boolean(),
        started: z.string().nullable(),
        finished: z.string().nullable(),
        exit_code: z.number().nullable(),
        restart_count: z.number(),
        health: z.string().nullable(),
      }),
  },
};

export const remove: Answers = { 200: { description: "Removed", schema: z.object({ ...containerRef, removed: z.literal(true) }) } };

export const logs: Answers = { 200: { description: "The log, both streams as they were written", contentType: "text/plain" } };

const executed = z.object({
  ...containerRef,
  exit_code: z.number().nullable().describe("null while it runs"),
  ...outputSchema,
  stderr: z.string().nullable().describe("null if it wrote none"),
});

export const exec: Answers = {
  200: { description: "The command has ended", schema: executed },
  202: { description: "It still runs", schema: executed },
};

export const stats: Answers = {
  200: {
    description: "What it uses; with stream as application/x-ndjson or text/event-stream: the same as `stats` every second",
    schema: z.object({
      ...containerRef,
      read: z.string(),
      cpu_percent: z.number().describe("of one core"),
      memory: z.number().describe("bytes"),
      memory_limit: z.number(),
      memory_percent: z.number(),
      network_in: z.number(),
      network_out: z.number(),
      block_read: z.number(),
      block_write: z.number(),
      pids: z.number(),
    }),
    contentType: ["application/x-ndjson", "text/event-stream"],
  },
};

export const top: Answers = {
  200: {
    description: "Its processes, as ps tells them",
    schema: z.object({ ...containerRef, titles: z.array(z.string()), processes: z.array(z.array(z.string())) }),
  },
};
