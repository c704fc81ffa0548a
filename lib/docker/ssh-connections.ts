import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import http from "node:http";
import { Duplex } from "node:stream";
import { AppError } from "../errors";

const MAX_REASON_LENGTH = 2000;
const MAX_IDLE_CONNECTIONS = 4;
const IDLE_TIMEOUT_MS = 10_000;

/** The other machine, as in `ssh://user@host:port`. */
export interface SshServer {
  host: string;
  port: number;
  /** empty for that of the SSH configuration */
  username: string;
  /** of `ssh`, such as PATH and SSH_AUTH_SOCK */
  env: Record<string, string>;
}

/**
 * Connects requests to an engine on another machine as the docker CLI does: by an `ssh` that runs `docker system dial-stdio` there. Making
 * such a connection takes many times as long as most requests, so one is kept for the next request. The agent of docker-modem can't be
 * used: Node.js 26 refuses the address that it makes, and it checks no host key.
 */
export class SshConnections extends http.Agent {
  constructor(private readonly server: SshServer) {
    super({ keepAlive: true, maxFreeSockets: MAX_IDLE_CONNECTIONS });
  }

  override keepSocketAlive(connection: Duplex): boolean {
    (connection as ProgramStream).endWhenIdle();
    return true;
  }

  override reuseSocket(connection: Duplex, request: http.ClientRequest): void {
    (connection as ProgramStream).keep();
    request.reusedSocket = true;
  }

  override createConnection(): Duplex {
    const { host, port, username, env } = this.server;
    const options = ["-T", "-o", "BatchMode=yes", "-p", String(port), ...(username === "" ? [] : ["-l", username])];
    return new ProgramStream(spawn("ssh", [...options, "--", host, "docker system dial-stdio"], { env }));
  }
}

/** Standard input and output of a program as one stream, which breaks if the program fails, and ends the program when it is destroyed. */
class ProgramStream extends Duplex {
  private idleTimer: NodeJS.Timeout | undefined;

  constructor(private readonly program: ChildProcessWithoutNullStreams) {
    super();
    let reason = "";
    program.stderr.setEncoding("utf8").on("data", (text: string) => {
      reason = (reason + text).slice(-MAX_REASON_LENGTH);
    });
    program.stdout.on("data", (bytes: Buffer) => {
      if (!this.push(bytes)) program.stdout.pause();
    });
    // The end of the program tells why it reads no more.
    program.stdin.on("error", () => undefined);
    program.once("error", (error) => this.break(error));
    program.once("close", (code) => {
      // Of an idle connection nobody would read the end.
      if (this.idleTimer) this.destroy();
      else if (code === 0) this.push(null);
      else this.break(new Error(reason.trim() || `ssh ended with ${code}`));
    });
  }

  endWhenIdle(): void {
    this.idleTimer = setTimeout(() => this.destroy(), IDLE_TIMEOUT_MS).unref();
  }

  keep(): void {
    clearTimeout(this.idleTimer);
    this.idleTimer = undefined;
  }

  private break(cause: Error): void {
    this.destroy(new AppError("ENGINE_UNREACHABLE", { cause }));
  }

  override _read(): void {
    this.program.stdout.resume();
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.program.stdin.write(bytes, () => done());
  }

  override _final(done: () => void): void {
    this.program.stdin.end(() => done());
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const { stdin, stdout, stderr } = this.program;
    this.keep();
    this.program.kill();
    for (const stream of [stdin, stdout, stderr]) stream.destroy();
    done(error);
  }
}
