import { mkdirSync } from "node:fs";
import path from "node:path";
import { type Engine, startEngine } from "../test/support/engine";
import { importBusybox } from "../test/support/images";
import { startServer, type TestServer, TOKEN } from "../test/support/server";
import { HttpClient } from "./http-client";

/** An engine that only the benchmark uses, and the three ways to reach it that are compared. */
export interface Bed {
  engine: Engine;
  server: TestServer;
  /** this server's Docker listener, as a DOCKER_HOST value */
  dockerListener: string;
  /** this server's HTTP API */
  ours: HttpClient;
  /** the Engine API over its socket */
  raw: HttpClient;
  /** the docker CLI; @throws Error if its exit code differs from `exitCode` */
  cli(args: string[], exitCode?: number): Promise<string>;
  close(): Promise<void>;
}

/** Headers of each request to this server. */
export const CREDENTIALS = { Authorization: `Bearer ${TOKEN}` };

/** Starts an engine with an image and the built server on it. Both end with this process. */
export async function makeBed(): Promise<Bed> {
  const engine = await startEngine({ name: "bench" });
  try {
    await importBusybox(engine);
    const folder = path.join(engine.folder, "server");
    mkdirSync(folder);
    const dockerListener = `unix://${path.join(folder, "docker.sock")}`;
    const server = await startServer({ engine, folder, args: ["--docker_listen", dockerListener] });
    const ours = new HttpClient({ host: "127.0.0.1", port: server.port }, CREDENTIALS);
    const raw = new HttpClient({ socketPath: engine.socket });
    return {
      engine,
      server,
      dockerListener,
      ours,
      raw,
      async cli(args, exitCode = 0) {
        const { code, stdout, stderr } = await engine.docker(args);
        if (code !== exitCode) throw new Error(`docker ${args.join(" ")}: exit code ${code}: ${stderr}`);
        return stdout;
      },
      async close() {
        ours.close();
        raw.close();
        await server.stop();
        await engine.stop();
      },
    };
  } catch (error) {
    await engine.stop();
    throw error;
  }
}
