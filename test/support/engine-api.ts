import http from "node:http";
import { buffer } from "node:stream/consumers";

/**
 * Sends one request to an engine's API.
 * @returns the JSON of the response; undefined if it has no body, or for status 404
 * @throws Error with the engine's message for any other error status
 */
// biome-ignore lint/suspicious/noExplicitAny: answers of many shapes
export function engineApi({ socket }: { socket: string }, method: string, path: string, json?: object): Promise<any> {
  return new Promise((resolve, reject) => {
    const headers = json ? { "Content-Type": "application/json" } : {};
    const request = http.request({ socketPath: socket, method, path, headers, agent: false }, async (response) => {
      const text = (await buffer(response)).toString();
      const status = response.statusCode ?? 0;
      if (status >= 400 && status !== 404) reject(new Error(`${method} ${path}: ${status} ${text.trim()}`));
      else resolve(status === 404 || text === "" ? undefined : JSON.parse(text));
    });
    request.on("error", reject).end(json && JSON.stringify(json));
  });
}

export interface ContainerEntry {
  id: string;
  /** without the names of links */
  name: string;
  /** such as `running` */
  state: string;
}

/** All containers of an engine, as `docker ps --all` lists them. */
export async function containersOf(engine: { socket: string }): Promise<ContainerEntry[]> {
  const entries: { Id: string; Names: string[]; State: string }[] = await engineApi(engine, "GET", "/containers/json?all=1");
  return entries.map(({ Id, Names, State }) => ({
    id: Id,
    name: Names.map((each) => each.slice(1)).find((each) => !each.includes("/")) ?? "",
    state: State,
  }));
}

/** Names of an engine's volumes. */
export async function volumesOf(engine: { socket: string }): Promise<string[]> {
  const { Volumes }: { Volumes: { Name: string }[] | null } = await engineApi(engine, "GET", "/volumes");
  return (Volumes ?? []).map(({ Name }) => Name);
}
