import { lazyRequire } from "../../support/lazy-require";
import type { Endpoint } from "../endpoint";
import { type EngineOperation, toAppErrorFromCli } from "../engine-errors";
import { commandLine } from "./shell-quote";

const loadDockerCli = lazyRequire(() => require("docker-cli-js") as typeof import("docker-cli-js"));

/**
 * Runs one docker command.
 * @param during what it does, by which its errors are read
 * @param args arguments after `docker`
 * @param stdin given to it, if anything; not empty
 * @returns its standard output
 * @throws AppError of what it said on standard error
 */
export type DockerCli = (during: EngineOperation, args: readonly string[], stdin?: string) => Promise<string>;

/**
 * The docker CLI, through docker-cli-js, for one engine.
 * @param endpoint the engine
 */
export function dockerCli(endpoint: Endpoint): DockerCli {
  return async (during, args, stdin) => {
    const { Docker } = loadDockerCli();
    const line = commandLine(args, { stdin: stdin !== undefined });
    const options = { echo: false, env: endpoint.env, ...(stdin === undefined ? {} : { stdin }) };
    try {
      const result = (await new Docker(options).command(line)) as { raw: string };
      return result.raw;
    } catch (error) {
      throw toAppErrorFromCli(error as { stderr?: string }, during);
    }
  };
}
