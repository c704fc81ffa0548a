import { readFileSync } from "node:fs";
import path from "node:path";
import { until } from "../../scripts/process";
import { WEB_IMAGE } from "./empty-engine";
import type { Engine } from "./engine";
import { importNode } from "./node-images";
import { dockerOf } from "./single-node";

const SERVICE = readFileSync(path.join(__dirname, "web-service.js"), "utf8");
const IMAGE = WEB_IMAGE;

/**
 * Runs the web service of the tests on an engine, with its ports 80 and 81 published.
 * @param flags further flags of `docker run`
 * @returns the container's id
 */
export async function startWeb(engine: Engine, name: string, ...flags: string[]): Promise<string> {
  await importNode(engine, IMAGE);
  const published = ["--publish", "80", "--publish", "81", "--label", "dockapi.container_port=80"];
  const id = await dockerOf(engine, ["run", "--detach", "--name", name, ...published, ...flags, IMAGE, "node", "-e", SERVICE]);
  const listens = async () => (await engine.docker(["exec", id, "wget", "-q", "-O", "-", "http://127.0.0.1:80/open"])).code === 0;
  if (!(await until(listens, 30_000))) throw new Error("the web service does not listen");
  return id;
}

/** Path of a proxied request to the web service's raw port; the response is exactly these bytes. */
export function rawPath(container: string, answer: string, keep = false): string {
  return `/proxy/${container}/${Buffer.from(answer, "latin1").toString("base64url")}${keep ? "/keep" : ""}?port=81`;
}

/** The value of a header that the web service received, from its JSON; undefined if it received none. */
export function gotHeader({ rawHeaders }: { rawHeaders: string[] }, name: string): string | undefined {
  const values = rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name.toLowerCase());
  return values.length > 0 ? values.join(", ") : undefined;
}
