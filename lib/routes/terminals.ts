import { z } from "zod";
import type { Tickets } from "../auth/tickets";
import { owner } from "../cluster/routing/where";
import type { DockerHost } from "../docker/docker-host";
import { flag } from "../http/fields";
import { type Route, route } from "../http/route";
import { terminalDimension } from "../terminal/protocol";
import type { Terminals } from "../terminal/terminals";
import { containerParams, ticketResponses } from "./schemas/common";

const DEFAULT_SIZE = { cols: 80, rows: 24 };

const MESSAGES = [
  "A WebSocket, whose messages are JSON in text frames.",
  'From the client: {"type": "stdin", "data", "encoding": "utf8" | "base64"}, {"type": "resize", "cols", "rows"},',
  '{"type": "signal", "name": "INT"}, {"type": "close"}.',
  'To the client: {"type": "stdout" | "stderr", "data", "encoding": "utf8" | "base64"}, {"type": "exit", "code"},',
  '{"type": "error", "error": {…}}, which is the body of any other error.',
].join(" ");

/**
 * Terminals in containers (docs/terminals.md, "Open a terminal").
 * @param docker this host's Docker
 */
export function terminalRoutes(docker: DockerHost, terminals: Terminals, tickets: Tickets): Route[] {
  const terminal = route({
    method: "get",
    path: "/ws/:id",
    where: owner,
    burst: "none",
    permission: "exec",
    confined: "container",
    upgrade: true,
    acceptsTicket: true,
    summary:
      "A shell in a running container over a WebSocket; until the first stdin the container's own output, unless the query asks for a shell",
    params: containerParams,
    query: z.object({
      cols: terminalDimension.optional().describe("Width of the terminal, 80 if absent"),
      rows: terminalDimension.optional().describe("Height of the terminal, 24 if absent"),
      ticket: z.string().min(1).optional().describe("Instead of credentials, as `POST /ws/{id}/ticket` gives it"),
      tty: flag.optional().describe("Whether the shell has a terminal; as with cols or rows if absent, else stdout and stderr are apart"),
    }),
    responses: { 101: { description: MESSAGES }, 426: { description: "The request is no offer of an upgrade to a WebSocket" } },
    async handler(call) {
      const { cols, rows, tty, ticket } = call.query;
      const sized = cols !== undefined || rows !== undefined;
      const spec = {
        cols: cols ?? DEFAULT_SIZE.cols,
        rows: rows ?? DEFAULT_SIZE.rows,
        tty: tty ?? sized,
        shellAtOnce: sized || tty !== undefined,
      };
      const { id } = await docker.containers.find(call.params.id, { prefix: true });
      tickets.redeem(ticket, id);
      return terminals.open(id, spec, { id: call.caller.request_id, stopSignal: call.streamSignal });
    },
  });

  const ticket = route({
    method: "post",
    path: "/ws/:id/ticket",
    where: owner,
    burst: "low",
    permission: "exec",
    confined: "container",
    summary: "A ticket that opens one terminal in this container, for a page in a browser, which can't send credentials with it",
    params: containerParams,
    responses: ticketResponses,
    async handler(call) {
      const { id } = await docker.containers.find(call.params.id, { prefix: true });
      return tickets.issue(id, call.caller.identity, call.access);
    },
  });

  return [terminal, ticket];
}
