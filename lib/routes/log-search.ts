import { z } from "zod";
import { everyNode } from "../cluster/routing/where";
import { matchById } from "../docker/containers/container-list";
import type { ContainerSummary } from "../docker/containers/container-summary";
import { LogSearch, type LogSearchQuery } from "../docker/containers/log-search";
import type { DockerHost } from "../docker/docker-host";
import { asAppError, errorFields } from "../errors";
import { integer, matching, text } from "../http/fields";
import { type Route, route, streamReply } from "../http/route";
import { EXPIRES_LABEL } from "../runs/reaper";
import { formatEvent } from "../support/event-format";
import { containerId } from "./schemas/common";
import { assertSpan, pointInTime } from "./schemas/log-query";

const FORMAT = "application/x-ndjson";
const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1000;
const MAX_NAMES = 100;
/** of one node */
const MAX_BYTES = 2_000_000_000;
const SEARCH_TIMEOUT_MS = 120_000;

const containerNames = text
  .transform((names) => names.split(",").map((name) => name.trim()))
  .refine((names) => names.length <= MAX_NAMES && names.every((name) => containerId.safeParse(name).success), {
    error: `must be names or ids of containers, with commas, ${MAX_NAMES} at most`,
  });

/** What is written in patterns and seldom in logs. */
const LOOKS_LIKE_PATTERN = /\.[*+]|\\[bdsw]|\||^\^|\$$|\[.+\]|\*/;

/**
 * The search in the logs of all containers (docs/containers.md, "Search logs").
 * @param host this node's name
 */
export function logSearchRoutes(docker: DockerHost, host: string): Route[] {
  const search = route({
    method: "get",
    path: "/logs/search",
    where: everyNode("findings"),
    burst: "low",
    permission: "logs",
    confined: "handler",
    summary: "Search the logs of the containers of all nodes, from the newest lines on",
    query: z.object({
      q: matching(/^[^\0\r\n]{1,200}$/, "must be text of one line, 1 to 200 characters").describe(
        "Text that lines hold, in upper or lower case; no pattern",
      ),
      since: pointInTime.optional().describe("Seconds since 1970, a date, or an age such as 10m"),
      until: pointInTime.optional(),
      containers: containerNames.optional().describe("Names or ids, with commas; all if absent"),
      limit: integer(1, MAX_LIMIT).default(DEFAULT_LIMIT).describe("Lines"),
    }),
    responses: {
      200: {
        description:
          "A line found a line, with `node`, `id`, `name`, `time`, `stream` and `line`, and last the event `result`: lines, complete, nodes, missing, truncated, unknown (those of `containers` that no node has), warnings (of a `q` that looks like a pattern and was not found)",
        contentType: FORMAT,
      },
    },
    async handler(call) {
      const { q, since, until, containers: names, limit } = call.query;
      assertSpan({ since, until });
      const { containers } = await docker.containers.read();
      const visible = call.access.labels ? await docker.confinement.filter(containers, call.access.labels) : containers;
      const query = { text: q, since, until, limit, maxBytes: MAX_BYTES };
      const chosen = names ? namedOf(visible, names) : { found: visible.filter(keepsLog), unknown: [] };
      return streamReply(FORMAT, findings(docker, chosen, query, call.within(SEARCH_TIMEOUT_MS), host));
    },
  });

  return [search];
}

/** Runs keep none: their answers have their output. */
const keepsLog = ({ labels }: ContainerSummary) => labels[EXPIRES_LABEL] === undefined;

/** What the names of a query mean on this node. */
interface ChosenContainers {
  found: ContainerSummary[];
  /** names that mean none here */
  unknown: string[];
}

/** The containers that the names mean, each once; on another node a name may mean others. */
function namedOf(containers: ContainerSummary[], names: string[]): ChosenContainers {
  const meanings = [...new Set(names)].map((name) => {
    const { exact, prefix } = matchById(containers, name);
    return { name, meant: exact.length > 0 ? exact : prefix };
  });
  return {
    found: [...new Set(meanings.flatMap(({ meant }) => meant))],
    unknown: meanings.filter(({ meant }) => meant.length === 0).map(({ name }) => name),
  };
}

async function* findings(
  docker: DockerHost,
  { found, unknown }: ChosenContainers,
  query: LogSearchQuery,
  signal: AbortSignal,
  node: string,
): AsyncGenerator<Buffer> {
  const search = new LogSearch(docker.logs, query);
  let lines = 0;
  const end = (event: string, data: object) => Buffer.from(formatEvent(FORMAT, event, data));
  try {
    for await (const hit of search.run(found, signal)) {
      lines += 1;
      yield Buffer.from(`${JSON.stringify({ node, ...hit })}\n`);
    }
  } catch (error) {
    yield end("error", errorFields(asAppError(error)));
    return;
  }
  const { truncated, unreadable, bytesRead } = search;
  yield end("result", {
    lines,
    complete: truncated === null && unreadable.length === 0,
    nodes: [node],
    missing: [],
    truncated,
    containers: found.length,
    unknown,
    unreadable,
    bytes_read: bytesRead,
    max_bytes: query.maxBytes,
    ...(lines === 0 && LOOKS_LIKE_PATTERN.test(query.text) ? { warnings: ["q is plain text: no part of it is a pattern"] } : {}),
  });
}
