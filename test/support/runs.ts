import { JOB_PREFIX } from "../../lib/runs/reaper";
import { until } from "../../scripts/process";
import type { OneNode } from "./one-node";
import type { Answer, RequestOptions } from "./server";

const DEADLINE = 30_000;

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

/** Names of all containers, volumes and nameless images that an engine has. */
export async function everythingOn({ docker }: Pick<OneNode, "docker">): Promise<string[]> {
  const lists = await Promise.all([
    docker("ps", "--all", "--format", "container {{.Names}}"),
    docker("volume", "ls", "--format", "volume {{.Name}}"),
    docker("images", "--all", "--format", "image {{.Repository}}:{{.Tag}}"),
  ]);
  return lists.flatMap((list) => list.split("\n").filter(Boolean)).sort();
}

/** Whether an engine comes to have just this again. */
export const comesBackTo = (node: Pick<OneNode, "docker">, before: string[]) =>
  until(async () => (await everythingOn(node)).join() === before.join(), DEADLINE);

/** Waits until so many runs' containers are there, running. */
export const runsUnderWay = ({ docker }: Pick<OneNode, "docker">, count: number) =>
  until(
    async () =>
      (await docker("ps", "--filter", `name=${JOB_PREFIX}`, "--format", "{{.Names}}")).split("\n").filter(Boolean).length === count,
    DEADLINE,
  );
