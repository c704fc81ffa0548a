import http from "node:http";
import { until } from "../../scripts/process";
import { TOKEN } from "./server";

/** Clients that ask on and on. */
export interface Load {
  /** What each request came to that was not answered with 200 as it should be. */
  wrong: string[];
  /** Waits until so many more requests have been answered; whether they were. */
  grows(by: number): Promise<boolean>;
  /** Ends it and says how much was asked. */
  end(): Promise<number>;
}

/** One request with the token. */
type Ask = (method: string, path: string, json?: object) => Promise<void>;

/**
 * Asks through a load balancer, on kept and on fresh connections: lists, commands in given containers, their logs, and containers that
 * are run, entered and removed.
 * @param containers names of containers that run all the while, wherever they are
 * @param options.nodes how many nodes must be in every list; any number if absent
 * @param options.runs whether containers are run and removed again
 */
export function startPoolLoad(url: string, containers: string[], options: { nodes?: number; runs?: boolean } = {}): Load {
  const { hostname, port } = new URL(url);
  const agents: http.Agent[] = [];
  const wrong: string[] = [];
  let asked = 0;
  let going = true;

  const asker = (agent: http.Agent | false): Ask => {
    if (agent) agents.push(agent);
    return async (method, path, json) => {
      const said = await once({ hostname, port, method, path, agent }, json).catch((error: Error) => error.message);
      asked += 1;
      const missing = containers.filter((name) => method === "GET" && path === "/" && !said.includes(`"${name}"`));
      const nodes = /^200 \[([^\]]*)\]/.exec(said)?.[1]?.split(", ").length;
      const ok =
        said.startsWith("200 ") && (path !== "/" || method !== "GET" || (missing.length === 0 && nodes === (options.nodes ?? nodes)));
      if (!ok)
        wrong.push(`${new Date().toISOString()} ${method} ${path}: ${missing.length ? `without ${missing}: ` : ""}${said.slice(0, 300)}`);
    };
  };
  const kept = () => asker(new http.Agent({ keepAlive: true, maxSockets: 1 }));
  const repeat = async (step: () => Promise<unknown>) => {
    while (going) await step();
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
  const clients = [reads(kept()), reads(asker(false)), commands(kept()), commands(asker(false))];
  if (options.runs !== false) clients.push(runs("load-kept", kept()), runs("load-fresh", asker(false)));

  return {
    wrong,
    grows(by) {
      const goal = asked + by;
      return until(() => asked >= goal, 60_000);
    },
    async end() {
      going = false;
      await Promise.all(clients);
      for (const agent of agents) agent.destroy();
      return asked;
    },
  };
}

/** An answer as one text: its status, the nodes it is from, its body. */
function once(target: http.RequestOptions, json?: object): Promise<string> {
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
