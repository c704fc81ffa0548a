import { spawn } from "node:child_process";
import path from "node:path";
import { type CommandResult, until } from "../../scripts/process";

const FOLDER = path.resolve(__dirname, "../examples/container-management");
/** Absolute paths, because Debian's interpreters have the libraries and PATH may name others first. */
const LANGUAGES: Record<string, string[]> = {
  ".py": ["/usr/bin/python3", "-Bu"],
  ".js": [process.execPath],
  ".rb": ["/usr/bin/ruby"],
  ".go": ["/usr/bin/go", "run"],
};
const OUTPUT_TIMEOUT_MS = 30_000;
/** A program that hangs is killed after this time. */
const RUN_TIMEOUT_MS = 90_000;

/** A running example of the documentation. */
export interface Program {
  /** Writes a line to its standard input. */
  type(line: string): void;
  /** Waits until its standard output matches; after 30 s throws an Error with all its output. */
  prints(pattern: RegExp): Promise<void>;
  end(): void;
  /** Settles when it has ended. */
  result: Promise<CommandResult>;
}

/** Environment variables with the credentials of the examples. */
export const USER = { APP_USER: "admin", APP_PASS: "your_secure_password_here" };

/**
 * Starts an example of test/examples/container-management.
 * @param api.url base URL of its requests
 * @param api.folder its working folder and home
 * @param command its file, such as `create.py`, and its arguments
 * @param env environment variables beside `USER`
 */
export function startProgram(api: { url: string; folder: string }, [file = "", ...args]: string[], env: NodeJS.ProcessEnv = {}): Program {
  const [language = "", ...flags] = LANGUAGES[path.extname(file)] ?? [];
  const child = spawn(language, [...flags, path.join(FOLDER, file), ...args], {
    env: { PATH: process.env.PATH, HOME: api.folder, GOPROXY: "off", ...USER, BASE_URL: api.url, ...env },
    cwd: api.folder,
    timeout: RUN_TIMEOUT_MS,
  });
  const printed = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].setEncoding("utf8").on("data", (text: string) => {
      printed[stream] += text;
    });
  }
  child.stdin.on("error", () => undefined);
  const result = new Promise<CommandResult>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, ...printed }));
  });
  return {
    type: (line) => void child.stdin.write(`${line}\n`),
    async prints(pattern) {
      if (!(await until(() => pattern.test(printed.stdout), OUTPUT_TIMEOUT_MS)))
        throw new Error(`no ${pattern} in ${printed.stdout}\n${printed.stderr}`);
    },
    end: () => void child.kill(),
    result,
  };
}

/** Runs an example to its end. Returns its standard output, trimmed; throws an Error with all its output if it fails. */
export async function runProgram(...args: Parameters<typeof startProgram>): Promise<string> {
  const { code, stdout, stderr } = await startProgram(...args).result;
  if (code !== 0) throw new Error(`${args[1].join(" ")} exited with ${code}: ${stdout}\n${stderr}`);
  return stdout.trim();
}
