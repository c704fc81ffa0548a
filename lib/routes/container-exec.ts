import { z } from "zod";
import type { Where } from "../cluster/routing/where";
import { exec } from "../docker/containers/exec";
import { processesOf } from "../docker/containers/inspect";
import { followUsage, type Usage, usageOf } from "../docker/containers/stats";
import type { DockerHost } from "../docker/docker-host";
import { command, flag, text } from "../http/fields";
import { Reply, type Route, route, streamReply } from "../http/route";
import { formatEvent } from "../support/event-format";
import { outputFields } from "../support/tail-buffer";
import { containerParams, environment, optional } from "./schemas/common";
import * as answers from "./schemas/container-answers";
import { logQuery } from "./schemas/log-query";

const OWNER: Where = { at: "owner" };

/**
 * What goes on inside of one container, wherever it is: its log, commands in it, what it uses (dockapi.md).
 * @param host this node's name
 * @param settings.run_wait seconds that a command is waited for
 * @param settings.output_limit MB kept of each of its streams
 */
export function containerExecRoutes(docker: DockerHost, settings: { run_wait: number; output_limit: number }, host: string): Route[] {
  const find = (id: string) => docker.containers.find(id, { prefix: true });

  const logs = route({
    method: "get",
    path: "/containers/:id/logs",
    where: OWNER,
    burst: "mid",
    summary: "Logs of a container, as text",
    params: containerParams,
    query: logQuery,
    answers: answers.logs,
    async handler(call) {
      const { id } = await find(call.params.id);
      return streamReply("text/plain", await docker.logs.follow(id, call.query, call.streamSignal));
    },
  });

  const execute = route({
    method: "post",
    path: "/containers/:id/exec",
    where: OWNER,
    burst: "low",
    summary: "Run a command inside a running container",
    tool: "exec_in",
    params: containerParams,
    body: z.object({
      command: command
        .refine((words) => words.length > 0, { error: "must hold a command" })
        .describe("A list, or a text that is split into words as a shell would"),
      workdir: optional(text.max(4096, "must be a path")),
      env: optional(environment),
      tty: flag.nullish().describe("Give it a terminal; its output is then all stdout"),
    }),
    example: { command: ["ls", "-la", "/"], workdir: "/", env: { DEMO: "1" }, tty: false },
    answers: answers.exec,
    async handler(call) {
      const { id, name } = await find(call.params.id);
      const { env = {}, tty, ...rest } = call.body;
      const wait = call.within(settings.run_wait * 1000);
      const { exit_code, ...output } = await exec(
        docker.engine,
        id,
        { ...rest, env, tty: tty ?? false },
        settings.output_limit * 1_000_000,
        wait,
      );
      const { stderr, ...said } = outputFields(output);
      const body = { id, name, exit_code, ...said, stderr: stderr === "" ? null : stderr, host };
      return exit_code === null ? new Reply(202, body) : body;
    },
  });

  const stats = route({
    method: "get",
    path: "/containers/:id/stats",
    where: OWNER,
    burst: "mid",
    summary: "What a container uses",
    tool: "stats",
    params: containerParams,
    query: z.object({ stream: flag.default(false).describe("Every second, until the container ends") }),
    answers: answers.stats,
    async handler(call) {
      const { id, name } = await find(call.params.id);
      if (!call.query.stream) return { id, name, ...(await usageOf(docker.engine, id)), host };
      const format = call.accepts("application/x-ndjson", "text/event-stream") || "application/x-ndjson";
      const usages = await followUsage(docker.engine, id, call.streamSignal);
      const text = (usage: Usage) => formatEvent(format as "text/event-stream", "stats", { id, name, ...usage, host });
      return streamReply(format, encodeUsages(usages, text));
    },
  });

  const top = route({
    method: "get",
    path: "/containers/:id/top",
    where: OWNER,
    burst: "mid",
    summary: "The processes of a container",
    tool: "top",
    params: containerParams,
    answers: answers.top,
    async handler({ params }) {
      const { id, name } = await find(params.id);
      return { id, name, ...(await processesOf(docker.engine, id)), host };
    },
  });

  return [logs, execute, stats, top];
}

async function* encodeUsages(usages: AsyncIterable<Usage>, text: (usage: Usage) => string): AsyncGenerator<Buffer> {
  for await (const usage of usages) yield Buffer.from(text(usage));
}
