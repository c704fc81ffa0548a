import { z } from "zod";
import { owner } from "../cluster/routing/where";
import { exec } from "../docker/containers/exec";
import { listProcesses } from "../docker/containers/inspect";
import { followUsage, readUsage, type Usage } from "../docker/containers/stats";
import type { DockerHost } from "../docker/docker-host";
import { flag, text } from "../http/fields";
import { Reply, type Route, route, streamReply } from "../http/route";
import { formatEvent } from "../support/event-format";
import { outputFields } from "../support/tail-buffer";
import { commandWarnings, warningFields } from "../support/warnings";
import { containerParams, optional } from "./schemas/common";
import * as responses from "./schemas/container-responses";
import { logQuery } from "./schemas/log-query";
import { environment, execCommand } from "./schemas/run-fields";

/**
 * Logs, commands, resource usage and processes of one container (docs/containers.md, "Logs, exec, stats, processes").
 * @param host this node's name
 * @param settings.run_wait seconds to wait for a command
 * @param settings.output_limit MB kept of each output stream
 */
export function containerExecRoutes(docker: DockerHost, settings: { run_wait: number; output_limit: number }, host: string): Route[] {
  const find = (id: string) => docker.containers.find(id, { prefix: true });

  const logs = route({
    method: "get",
    path: "/containers/:id/logs",
    where: owner,
    burst: "mid",
    permission: "logs",
    confined: "container",
    summary: "Logs of a container, as text",
    params: containerParams,
    query: logQuery,
    responses: responses.logs,
    async handler(call) {
      const { id } = await find(call.params.id);
      return streamReply("text/plain", await docker.logs.streamBytes(id, call.query, call.streamSignal));
    },
  });

  const execute = route({
    method: "post",
    path: "/containers/:id/exec",
    where: owner,
    burst: "low",
    permission: "exec",
    confined: "container",
    summary: "Run a command inside a running container",
    params: containerParams,
    body: z.object({
      command: execCommand,
      workdir: optional(text.max(4096, "must be a path")),
      env: optional(environment),
      tty: flag.nullish().describe("Give it a terminal; its output is then all stdout"),
    }),
    example: { command: ["ls", "-la", "/"], workdir: "/", env: { DEMO: "1" }, tty: false },
    responses: responses.exec,
    async handler(call) {
      const { id, name } = await find(call.params.id);
      await docker.guard.checkEntry(id);
      const { env = {}, tty, ...rest } = call.body;
      const wait = call.within(settings.run_wait * 1000);
      const { exit_code, ...output } = await exec(
        docker.engine,
        id,
        { ...rest, env, tty: tty ?? false },
        settings.output_limit * 1_000_000,
        wait,
      );
      const { stderr, ...captured } = outputFields(output);
      const told = warningFields(commandWarnings(rest.command));
      const body = { id, name, exit_code, ...captured, stderr: stderr === "" ? null : stderr, host, ...told };
      return exit_code === null ? new Reply(202, body) : body;
    },
  });

  const stats = route({
    method: "get",
    path: "/containers/:id/stats",
    where: owner,
    burst: "mid",
    permission: "read",
    confined: "container",
    summary: "What a container uses",
    params: containerParams,
    query: z.object({ stream: flag.default(false).describe("Every second, until the container ends") }),
    responses: responses.stats,
    async handler(call) {
      const { id, name } = await find(call.params.id);
      if (!call.query.stream) return { id, name, ...(await readUsage(docker.engine, id)), host };
      const format = call.accepts("application/x-ndjson", "text/event-stream") || "application/x-ndjson";
      const usages = await followUsage(docker.engine, id, call.streamSignal);
      const encode = (usage: Usage) => formatEvent(format as "text/event-stream", "stats", { id, name, ...usage, host });
      return streamReply(format, encodeUsages(usages, encode));
    },
  });

  const top = route({
    method: "get",
    path: "/containers/:id/top",
    where: owner,
    burst: "mid",
    permission: "read",
    confined: "container",
    summary: "The processes of a container",
    params: containerParams,
    responses: responses.top,
    async handler({ params }) {
      const { id, name } = await find(params.id);
      return { id, name, ...(await listProcesses(docker.engine, id)), host };
    },
  });

  return [logs, execute, stats, top];
}

async function* encodeUsages(usages: AsyncIterable<Usage>, encode: (usage: Usage) => string): AsyncGenerator<Buffer> {
  for await (const usage of usages) yield Buffer.from(encode(usage));
}
