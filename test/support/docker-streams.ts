import { spawn } from "node:child_process";
import { pack } from "tar-stream";

/** A command of the docker CLI that is under way. */
export interface DockerStream {
  /** Its standard output so far. */
  output(): string;
  /** How it has ended, with an exit code of 0 or another; `open` before. */
  state(): "open" | "ended" | "failed";
  /** Writes to its standard input. */
  send(text: string): void;
  /** Reads on, after the first bytes of a command that was started `unread`. */
  readOn(): void;
  /** Kills it, as when its machine loses power. */
  kill(): void;
}

interface StreamOptions {
  /** folder of the CLI's configuration */
  config: string;
  /** Its output is not read beyond the first bytes. */
  unread?: boolean;
}

/** Starts `docker -H HOST …`, without a shell. Its standard input stays open. */
export function startDocker(host: string, args: string[], { config, unread = false }: StreamOptions): DockerStream {
  return startProcess(host, args, config, unread).stream;
}

/** Starts `docker cp - TARGET` and sends a file named `slow` that never comes to its end, a few bytes at a time. */
export function startSlowUpload(host: string, target: string, { config }: StreamOptions): DockerStream {
  const { child, stream } = startProcess(host, ["cp", "-", target], config, false);
  const tar = pack();
  const file = tar.entry({ name: "slow", size: 2 ** 32 });
  const piece = Buffer.alloc(16_384);
  // A client that sends nothing does not notice that its connection is gone.
  const timer = setInterval(() => file.write(piece), 50);
  tar.on("data", (chunk) => child.stdin.write(chunk));
  child.once("close", () => clearInterval(timer));
  return stream;
}

function startProcess(host: string, args: string[], config: string, unread: boolean) {
  const env = { PATH: process.env.PATH, HOME: config, DOCKER_CONFIG: config };
  const child = spawn("docker", ["-H", host, ...args], { env });
  const stdout: Buffer[] = [];
  let code: number | null | undefined;
  child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
  if (unread) child.stdout.once("data", () => child.stdout.pause());
  child.stderr.resume();
  child.stdin.on("error", () => undefined);
  child.once("exit", (exitCode) => {
    code = exitCode;
  });
  const stream: DockerStream = {
    output: () => Buffer.concat(stdout).toString(),
    state: () => (code === undefined ? "open" : code === 0 ? "ended" : "failed"),
    send: (text) => void child.stdin.write(text),
    readOn: () => void child.stdout.resume(),
    kill: () => void child.kill("SIGKILL"),
  };
  return { child, stream };
}
