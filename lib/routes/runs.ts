import { bestNode } from "../cluster/routing/where";
import { AppError } from "../errors";
import { Reply, type Route, type RouteCall, route, streamReply } from "../http/route";
import { type SandboxLimits, sandboxHeader } from "../runs/code/sandbox-options";
import { type EventFormat, EventStream } from "../runs/jobs/event-stream";
import type { StartedOneOff } from "../runs/jobs/one-off-runs";
import type { RunHost } from "../runs/run-host";
import { oneOffRunBody, oneOffRunResponses, planOneOffRun } from "./schemas/one-off-run";

/**
 * One-off and code runs, which end with their request (docs/runs.md).
 * @param host this node's name
 * @param settings.pull_wait seconds to wait for an image; the others are told as limits of a code run
 */
export function runRoutes(runs: RunHost, settings: SandboxLimits & { pull_wait: number }, host: string): Route[] {
  const run = route({
    method: "post",
    path: "/run",
    where: bestNode(planOneOffRun, { live: true }),
    burst: "low",
    permission: "run",
    confined: "handler",
    summary: "Run a container once, to its end, and answer its output; with a payload: run code, and answer its result",
    body: oneOffRunBody,
    example: { image: "alpine:latest", command: ["echo", "Hello, World!"], env: { MY_VAR: "value" } },
    responses: oneOffRunResponses,
    async handler(call) {
      const { payload, env: env_vars = {}, volumes = {}, pull_policy = "always", ...rest } = call.body;
      const format = call.accepts("json", "text/event-stream", "application/x-ndjson");
      const signals = { cancel: call.runSignal, slot: call.streamSignal, image: call.within(settings.pull_wait * 1000) };
      const pulling = new Reply(202, { status: "pulling", image: rest.image, host });
      try {
        if (payload) {
          const result = await runs.code.run(rest.image, payload, call.access, signals, call.markStarted);
          return result === undefined
            ? pulling
            : new Reply(200, Buffer.from(result.text), {
                "Content-Type": "application/json; charset=utf-8",
                "X-Run-Sandbox": sandboxHeader(result.isWarm, settings),
              });
        }
        const run = await runs.oneOffs.start({ ...rest, env_vars, volumes, pull_policy }, call.access, signals);
        if (!run) return pulling;
        call.markStarted();
        if (format === "text/event-stream" || format === "application/x-ndjson") return streamOutput(run, format, call);
        return { ...(await run.finish()), host };
      } catch (error) {
        throw abandonedToStopping(error, call.clientSignal);
      }
    },
  });

  function streamOutput(run: StartedOneOff, format: EventFormat, { clientSignal }: Pick<RouteCall, "clientSignal">): Reply {
    const events = new EventStream(format);
    run
      .finish((frame) => events.sendFrame(frame))
      .then(
        (result) => events.end("result", { ...result, host }),
        (thrown: Error) => events.fail(abandonedToStopping(thrown, clientSignal)),
      );
    return streamReply(format, events.body);
  }

  return [run];
}

/** A run that was abandoned while its client is connected was ended by the server's stop. */
function abandonedToStopping(error: unknown, clientSignal: AbortSignal): unknown {
  return error instanceof AppError && error.code === "ABANDONED" && !clientSignal.aborted ? new AppError("STOPPING") : error;
}
