import type { ServerResponse } from "node:http";

/** The requests under way of each client, so that they end with its credentials: a terminal or a followed log can last for days. */
export class LiveRequests {
  private readonly responses = new Map<string, Set<ServerResponse>>();

  /**
   * Notes an authenticated request until its response or its upgraded connection has closed.
   * @param identity the client's
   */
  track(identity: string, response: ServerResponse): void {
    const live = this.responses.get(identity) ?? new Set();
    this.responses.set(identity, live.add(response));
    response.once("close", () => {
      live.delete(response);
      if (live.size === 0 && this.responses.get(identity) === live) this.responses.delete(identity);
    });
  }

  /**
   * Disconnects all requests of a client. What it started and what goes on without its client, such as a detached run, goes on.
   * @returns their number
   */
  end(identity: string): number {
    const live = [...(this.responses.get(identity) ?? [])];
    for (const response of live) response.req.socket.destroy();
    return live.length;
  }
}
