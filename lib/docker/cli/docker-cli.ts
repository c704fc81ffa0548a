import { lazyRequire } from "../../support/lazy-require";
import type { Endpoint } from "../endpoint";
import { type EngineOperation, toAppErrorFromCli } from "../engine-errors";
import { commandLine } from "./shell-quote";

const loadDockerCli = lazyRequire(() => require("docker-cli-js") as typeof import("docker-cli-js"));

/**
 * Runs one docker command.
 * @param operation by which the texts on standard error are mapped to errors
 * @param args arguments after `docker`
 * @param stdin its standard input; not empty
 * @returns its standard output
 * @throws AppError if it fails
 */
export type DockerCli = (operation: EngineOperation, args: readonly string[], stdin?: string) => Promise<string>;

/**
 * The docker CLI for one engine, run by docker-cli-js.
 */
export function dockerCli(endpoint: Endpoint): DockerCli {
  return async (operation, args, stdin) => {
    const { Docker } = loadDockerCli();
    const line = commandLine(args, { stdin: stdin !== undefined });
    const options = { echo: false, env: endpoint.env, ...(stdin === undefined ? {} : { stdin }) };
    try {
      const result = (await new Docker(options).command(line)) as { raw: string };
      return result.raw;
    } catch (error) {
      throw toAppErrorFromCli(error as { stderr?: string }, operation);
    }
  };
}
