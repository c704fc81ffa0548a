import { RUN_CONTAINER_PREFIX } from "../../lib/docker/create/policy";
import { until } from "../../scripts/process";
import { containersOf, engineApi, volumesOf } from "./engine-api";
import type { Answer, RequestOptions } from "./server";
import type { OneNode } from "./single-node";

const DEADLINE_MS = 30_000;

/** Requests a one-off run of the image `busybox`, without a pull. */
export function oneOff(node: Pick<OneNode, "request">, json: object, options: RequestOptions = {}): Promise<Answer> {
  return node.request("POST", "/run", { json: { image: "busybox", pull_policy: "never", ...json }, ...options });
}

const base64 = (script: string) => Buffer.from(script).toString("base64");

/** Requests a code run of a shell script with the image of `importRunner`; the result has its output. */
export function code(node: Pick<OneNode, "request">, script: string, options: RequestOptions = {}): Promise<Answer> {
  return node.request("POST", "/run", { json: { image: "code-runner", payload: { script: base64(script) } }, ...options });
}

/** The same, but the script replaces the runner: its output is the runner's result. */
export function rawCode(node: Pick<OneNode, "request">, script: string, options: RequestOptions = {}): Promise<Answer> {
  return node.request("POST", "/run", { json: { image: "code-runner", payload: { raw: base64(script) } }, ...options });
}

/** Names of all containers, volumes and images (untagged ones included) of an engine. */
export async function everythingOn({ engine }: Pick<OneNode, "engine">): Promise<string[]> {
  const [containers, volumes, images] = await Promise.all([
    containersOf(engine),
    volumesOf(engine),
    engineApi(engine, "GET", "/images/json?all=1") as Promise<{ RepoTags: string[] | null }[]>,
  ]);
  return [
    ...containers.map(({ name }) => `container ${name}`),
    ...volumes.map((name) => `volume ${name}`),
    ...images.flatMap(({ RepoTags }) => (RepoTags ?? ["<none>:<none>"]).map((name) => `image ${name}`)),
  ].sort();
}

/** Waits until an engine's contents are `before` again; false after 30 s. */
export const comesBackTo = (node: Pick<OneNode, "engine">, before: string[]) =>
  until(async () => (await everythingOn(node)).join() === before.join(), DEADLINE_MS);

/** Waits until this many containers of runs are running; false after 30 s. */
export const runsUnderWay = ({ engine }: Pick<OneNode, "engine">, count: number) =>
  until(
    async () =>
      (await containersOf(engine)).filter(({ name, state }) => name.startsWith(RUN_CONTAINER_PREFIX) && state === "running").length ===
      count,
    DEADLINE_MS,
  );
