import { z } from "zod";
import { outputSchema, type Responses } from "./common";
import { containerRunView, containerView } from "./container-view";

const containerRef = { id: z.string(), name: z.string(), host: containerView.shape.host };
const warnings = z.array(z.string()).optional();

export const list: Responses = {
  200: {
    description: "One page, the newest first; of several nodes with whether that is all of them, and who is missing",
    schema: z.object({
      containers: z.array(containerView),
      next_cursor: z.string().nullable().describe("The cursor of the next page; null at the end"),
      not_managed: z.number().optional().describe("On an empty page: how many containers `all` would list"),
      complete: z.boolean().optional(),
      missing: z.array(z.string()).optional(),
    }),
  },
};

export const run: Responses = {
  200: {
    description: "It runs, and is ready if that was waited for; without detach: it has ended",
    schema: z.object({
      ...containerRunView.shape,
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

export const inspect: Responses = {
  200: {
    description: "The container",
    schema: containerView.extend({
      command: z.array(z.string()),
      started: z.string().nullable(),
      finished: z.string().nullable(),
      exit_code: z.number().nullable(),
      error: z.string().nullable().describe("why it could not be started"),
      oom_killed: z.boolean().describe("whether it ended out of memory"),
      restart_count: z.number(),
      health: z.string().nullable().describe("starting, healthy or unhealthy, if it has a check"),
      health_output: z.string().nullable().describe("what the last check wrote, or why it could not run"),
      env: z.record(z.string(), z.string()),
      mounts: z.array(z.object({ type: z.string(), source: z.string(), target: z.string(), read_only: z.boolean() })),
      networks: z.record(z.string(), z.string()).describe("its address in each"),
      restart_policy: z.string(),
      auto_remove: z.boolean(),
    }),
  },
};

export const lifecycle: Responses = { 200: { description: "The container as it is now", schema: containerView } };

const cuid = z.string();
const pulling = z.object({ cuid, image: z.string(), status: z.literal("pulling"), host: containerView.shape.host });

export const create: Responses = {
  200: {
    description: "The same Idempotency-Key has made it before",
    schema: z.object({ ...containerRef, cuid, status: z.string(), repeated: z.literal(true) }),
  },
  201: { description: "Created, and not started", schema: containerView.extend({ warnings }), headers: { Location: "Its path" } },
  202: { description: "Its image is still being pulled; then it is created", schema: pulling.extend({ warnings }) },
};

export const change: Responses = {
  200: { description: "The container as it is now", schema: containerView },
  202: { description: "Its new image is still being pulled, and nothing has changed; the same request again joins", schema: pulling },
};

export const status: Responses = {
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
        error: z.string().nullable().describe("why it could not be started"),
        oom_killed: z.boolean().describe("whether it ended out of memory"),
        restart_count: z.number(),
        health: z.string().nullable(),
        health_output: z.string().nullable(),
      }),
  },
};

export const remove: Responses = { 200: { description: "Removed", schema: z.object({ ...containerRef, removed: z.literal(true) }) } };

export const logs: Responses = { 200: { description: "The log, both streams as they were written", contentType: "text/plain" } };

const executed = z.object({
  ...containerRef,
  exit_code: z.number().nullable().describe("null while it runs"),
  ...outputSchema,
  stderr: z.string().nullable().describe("null if it wrote none"),
  warnings,
});

export const exec: Responses = {
  200: { description: "The command has ended", schema: executed },
  202: { description: "It still runs", schema: executed },
};

export const stats: Responses = {
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

export const top: Responses = {
  200: {
    description: "Its processes, as ps tells them",
    schema: z.object({ ...containerRef, titles: z.array(z.string()), processes: z.array(z.array(z.string())) }),
  },
};
