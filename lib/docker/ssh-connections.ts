import http from "node:http";
import type { Client, ConnectConfig } from "ssh2";
import { AppError } from "../errors";
import { lazyRequire } from "../support/lazy-require";

const loadSsh = lazyRequire(() => require("ssh2") as typeof import("ssh2"));

/**
 * The connections of HTTP requests to an engine that is reached over SSH: each is the `docker system dial-stdio` of the other machine.
 * The agent of docker-modem can't be used: it formats an address that Node.js 26 refuses, and throws if the command is refused.
 */
export class SshConnections extends http.Agent {
  constructor(private readonly server: ConnectConfig) {
    super();
  }

  override createConnection(_: unknown, done: (error: Error | null, channel?: unknown) => void): undefined {
    const client: Client = new (loadSsh().Client)();
    const fail = (error: Error) => {
      client.end();
      done(new AppError("ENGINE_UNREACHABLE", { message: `The Docker engine can't be reached over SSH: ${error.message}`, cause: error }));
    };
    client.once("ready", () =>
      client.exec("docker system dial-stdio", (error, channel) => {
        if (error) return fail(error);
        channel.once("close", () => client.end());
        done(null, channel);
      }),
    );
    client.on("error", fail).connect(this.server);
  }
}
