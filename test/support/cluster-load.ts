import http from "node:http";
import { until } from "../../scripts/process";
import { TOKEN } from "./server";

/** Clients that send requests until `end()`. */
export interface Load {
  /** Method, path and response of every request that failed or had a wrong response. */
  wrong: string[];
  /** Waits until this many more requests have been answered; false after 60 s. */
  grows(by: number): Promise<boolean>;
  /** Ends the load and returns the number of requests. */
  end(): Promise<number>;
}

/** One request with the token. */
type Ask = (method: string, path: string, json?: object) => Promise<void>;

/**
 * Sends requests through a load balancer, over kept-alive and new connections: lists, commands in the given containers, their logs, and
 * containers that are run, executed in and removed.
 * @param containers names of containers that run all the time, on any node
 * @param options.nodes number of nodes that every list must have; any number if absent
 * @param options.runs whether containers are run and removed again; true by default
 */
export function startPoolLoad(url: string, containers: string[], options: { nodes?: number; runs?: boolean } = {}): Load {
  const { hostname, port } = new URL(url);
  const agents: http.Agent[] = [];
  const wrong: string[] = [];
  let asked = 0;
  let running = true;

  const asker = (agent: http.Agent | false): Ask => {
    if (agent) agents.push(agent);
    return async (method, path, json) => {
      const outcome = await requestText({ hostname, port, method, path, agent }, json).catch((error: Error) => error.message);
      asked += 1;
      const missing = containers.filter((name) => method === "GET" && path === "/" && !outcome.includes(`"${name}"`));
      const nodes = /^200 \[([^\]]*)\]/.exec(outcome)?.[1]?.split(", ").length;
      const ok =
        outcome.startsWith("200 ") && (path !== "/" || method !== "GET" || (missing.length === 0 && nodes === (options.nodes ?? nodes)));
      if (!ok)
        wrong.push(
          `${new Date().toISOString()} ${method} ${path}: ${missing.length ? `without ${missing}: ` : ""}${outcome.slice(0, 300)}`,
        );
    };
  };
  const keptAlive = () => asker(new http.Agent({ keepAlive: true, maxSockets: 1 }));
  const repeat = async (step: () => Promise<unknown>) => {
    while (running) await step();
  };
  const reads = (ask: Ask) => repeat(() => ask("GET", "/"));
  const commands = (ask: Ask) =>
    repeat(async () => {
      for (const name of containers) {
        await ask("POST", `/${name}`, { data: "true" });
        await ask("GET", `/${name}?tail=1`);
      }
    });
  const runs = (name: string, ask: Ask) =>
    repeat(async () => {
      await ask("PUT", "/", { image: "busybox", name, detach: true, network: "none", data: "sleep 1000" });
      await ask("POST", `/${name}`, { data: "true" });
      await ask("DELETE", `/${name}`);
    });
  const clients = [reads(keptAlive()), reads(asker(false)), commands(keptAlive()), commands(asker(false))];
  if (options.runs !== false) clients.push(runs("load-kept", keptAlive()), runs("load-fresh", asker(false)));

  return {
    wrong,
    grows(by) {
      const goal = asked + by;
      return until(() => asked >= goal, 60_000);
    },
    async end() {
      running = false;
      await Promise.all(clients);
      for (const agent of agents) agent.destroy();
      return asked;
    },
  };
}

/** Sends a request. Its response as one text: status, X-Cluster-Nodes in brackets, body. */
function requestText(target: http.RequestOptions, json?: object): Promise<string> {
  const headers = { Authorization: `Bearer ${TOKEN}`, ...(json ? { "Content-Type": "application/json" } : {}) };
  return new Promise((resolve, reject) => {
    const request = http.request({ ...target, headers }, (response) => {
      let body = "";
      response.on("data", (piece) => {
        body += piece;
      });
      response.on("end", () => resolve(`${response.statusCode} [${response.headers["x-cluster-nodes"] ?? ""}] ${body}`));
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(json && JSON.stringify(json));
  });
}
