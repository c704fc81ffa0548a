import { z } from "zod";
import { bestNode, everyNode, owners } from "../cluster/routing/where";
import { nameAndLabels } from "../docker/containers/container-summary";
import { exec } from "../docker/containers/exec";
import type { DockerHost } from "../docker/docker-host";
import { flag, text } from "../http/fields";
import { Reply, type Route, route, streamReply } from "../http/route";
import type { ManagedContainers } from "../managed/managed-containers";
import { settlesBefore } from "../support/settles-before";
import { outputFields } from "../support/tail-buffer";
import { commandWarnings, warningFields, withWarnings } from "../support/warnings";
import { containerParams, imageReference } from "./schemas/common";
import { logQuery } from "./schemas/log-query";
import * as responses from "./schemas/root-responses";
import { planRootRun, rootRunBody, toRunSpec } from "./schemas/root-run";
import { environment, execCommand } from "./schemas/run-fields";

export interface RootSettings {
  /** seconds */
  run_wait: number;
  /** seconds */
  pull_wait: number;
  /** MB */
  output_limit: number;
}

export interface RootDeps {
  /** this host's Docker */
  docker: DockerHost;
  managed: ManagedContainers;
  settings: RootSettings;
  /** this node's name */
  host: string;
  /** the answer of `GET /` to clients without credentials */
  serviceInfo: () => object;
}

/** The six routes at the root (docs/root-verbs.md). */
export function rootRoutes({ docker, managed, settings, host, serviceInfo }: RootDeps): Route[] {
  const outputLimit = settings.output_limit * 1_000_000;

  const pull = route({
    method: "head",
    path: "/*image",
    where: everyNode("outcomes"),
    burst: "low",
    permission: "images",
    confined: "untouched",
    summary: "Pull an image; the outcome is in the headers",
    params: z.object({ image: imageReference.describe("Image reference, with its slashes") }),
    query: z.object({ platform: text.optional().describe("such as linux/arm64") }),
    responses: responses.pull,
    async handler(call) {
      call.access.assertImage(call.params.image);
      const pulling = docker.images.pull(call.params.image, call.query.platform);
      if (!(await settlesBefore(pulling, call.within(settings.pull_wait * 1000))))
        return new Reply(202, null, { "X-Pull-Status": "pulling" });
      const { id, digest } = await pulling;
      return new Reply(200, null, { "X-Image-Id": id, ...(digest ? { "Docker-Content-Digest": digest } : {}) });
    },
  });

  const list = route({
    method: "get",
    path: "/",
    where: everyNode("list"),
    burst: "high",
    permission: "read",
    confined: "handler",
    summary: "List all containers",
    anonymousBody: serviceInfo,
    responses: responses.list,
    async handler({ access }) {
      const { containers, json } = await docker.containers.read();
      const seen = access.labels ? await docker.confinement.filter(containers, access.labels) : undefined;
      return new Reply(200, seen ?? json, { "Content-Type": "application/json; charset=utf-8" });
    },
  });

  const logs = route({
    method: "get",
    path: "/:id",
    where: owners({ prefix: true }),
    burst: "mid",
    permission: "logs",
    confined: "container",
    summary: "Logs of a container",
    params: containerParams,
    query: logQuery,
    responses: responses.logs,
    async handler(call) {
      const { id, name } = await docker.containers.find(call.params.id, { prefix: true });
      if (call.query.follow || call.accepts("json", "text") === "text")
        return streamReply("text/plain", await docker.logs.streamBytes(id, call.query, call.streamSignal));
      return { id, name, ...outputFields(await docker.logs.readTail(id, call.query, outputLimit, call.clientSignal)), host };
    },
  });

  const run = route({
    method: "put",
    path: "/",
    where: bestNode(planRootRun),
    idempotent: true,
    burst: "low",
    permission: "containers",
    confined: "handler",
    summary: "Run a container",
    body: rootRunBody,
    example: { image: "redis", name: "p-redis", detach: true, ports: { "1234": "6379" } },
    responses: responses.run,
    async handler(call) {
      const { spec, warnings } = toRunSpec(call.body, call.idempotencyKey);
      const waitSeconds = call.body.detach ? settings.pull_wait : settings.run_wait;
      const running = docker.runner.run(spec, {
        detach: call.body.detach,
        outputLimit,
        waitSignal: call.within(waitSeconds * 1000),
        access: call.access,
        cancelSignal: call.callerSignal,
        onStarted: call.markStarted,
      });
      const outcome = await running.catch((error: unknown) => {
        throw withWarnings(error, warnings);
      });
      const body = {
        ...("id" in outcome ? { id: outcome.id } : {}),
        name: spec.name,
        status: outcome.status,
        host,
        ...warningFields(warnings),
      };
      if (outcome.status === "exited") return { ...body, exit_code: outcome.exit_code, ...outputFields(outcome) };
      return call.body.detach && outcome.status === "running" ? body : new Reply(202, body);
    },
  });

  const execute = route({
    method: "post",
    path: "/:id",
    where: owners({ prefix: true }),
    burst: "low",
    permission: "exec",
    confined: "container",
    summary: "Execute a command in a running container",
    params: containerParams,
    body: z.object({
      command: execCommand,
      tty: flag.default(false).describe("Give it a terminal; its output is then all stdout"),
      interactive: flag.default(false).describe("Give it stdin to read"),
      stdin: z.string({ error: "must be text" }).default("").describe("What it reads, with interactive"),
      env: environment.prefault({}),
      workdir: text.max(4096, "must be a path").optional(),
      user: text.max(4096, "must be a user").optional(),
    }),
    example: { command: "redis-cli ping" },
    responses: responses.exec,
    async handler(call) {
      const { interactive, stdin, ...rest } = call.body;
      const { id, name } = await docker.containers.find(call.params.id, { prefix: true });
      await docker.guard.checkEntry(id);
      const spec = { ...rest, stdin: interactive ? Buffer.from(stdin) : undefined };
      const { exec_id, exit_code, ...output } = await exec(docker.engine, id, spec, outputLimit, call.within(settings.run_wait * 1000));
      const unread = !interactive && stdin !== "" ? ["stdin is given only with interactive"] : [];
      const told = warningFields([...commandWarnings(rest.command), ...unread]);
      const body = { id, name, exec_id, exit_code, running: exit_code === null, ...outputFields(output), host, ...told };
      return exit_code === null ? new Reply(202, body) : body;
    },
  });

  const remove = route({
    method: "delete",
    path: "/:id",
    where: owners({ prefix: false }),
    burst: "mid",
    permission: "containers",
    confined: "container",
    summary: "Remove a container by force, running or not",
    params: containerParams,
    responses: responses.remove,
    async handler(call) {
      const info = await docker.containers.findAndInspect(call.params.id, { prefix: false });
      const id = info.Id;
      const container = nameAndLabels(info);
      const { name } = container;
      if (!(await managed.remove(container))) await docker.runner.remove(id, { info });
      return { id, name, removed: true, host };
    },
  });

  return [pull, list, logs, run, execute, remove];
}
