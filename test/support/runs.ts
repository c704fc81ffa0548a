import { JOB_PREFIX } from "../../lib/runs/reaper";
import { until } from "../../scripts/process";
import { containersOf, engineApi, volumesOf } from "./engine-api";
import type { Answer, RequestOptions } from "./server";
import type { OneNode } from "./single-node";

const DEADLINE_MS = 30_000;

/** Asks for a one-off run of the image that is there. */
export function oneOff(node: Pick<OneNode, "request">, json: object, options: RequestOptions = {}): Promise<Answer> {
  return node.request("POST", "/run", { json: { image: "busybox", pull_policy: "never", ...json }, ...options });
}

const base64 = (script: string) => Buffer.from(script).toString("base64");

/** Asks for a code run of a shell script, by the image of `importRunner`; its output comes in the result. */
export function code(node: Pick<OneNode, "request">, script: string, options: RequestOptions = {}): Promise<Answer> {
  return node.request("POST", "/run", { json: { image: "code-runner", payload: { script: base64(script) } }, ...options });
}

/** The same with the script in the runner's place: what it writes is the answer. */
export function rawCode(node: Pick<OneNode, "request">, script: string, options: RequestOptions = {}): Promise<Answer> {
  return node.request("POST", "/run", { json: { image: "code-runner", payload: { raw: base64(script) } }, ...options });
}

/** Names of all containers, volumes and images, nameless ones included, that an engine has. */
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

/** Whether an engine comes to have just this again. */
export const comesBackTo = (node: Pick<OneNode, "engine">, before: string[]) =>
  until(async () => (await everythingOn(node)).join() === before.join(), DEADLINE_MS);

/** Waits until so many runs' containers are there, running. */
export const runsUnderWay = ({ engine }: Pick<OneNode, "engine">, count: number) =>
  until(
    async () =>
      (await containersOf(engine)).filter(({ name, state }) => name.startsWith(JOB_PREFIX) && state === "running").length === count,
    DEADLINE_MS,
  );
