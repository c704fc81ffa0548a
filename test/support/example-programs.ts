import { spawn } from "node:child_process";
import path from "node:path";
import { type CommandResult, until } from "../../scripts/process";

const FOLDER = path.resolve(__dirname, "../examples/container-management");
/** Debian's own, which has the libraries; another may come first in the path. */
const LANGUAGES: Record<string, string[]> = {
  ".py": ["/usr/bin/python3", "-Bu"],
  ".js": [process.execPath],
  ".rb": ["/usr/bin/ruby"],
  ".go": ["/usr/bin/go", "run"],
};
const OUTPUT_TIMEOUT_MS = 30_000;
/** Whatever hangs is ended (ms). */
const RUN_TIMEOUT_MS = 90_000;

/** A documented example that runs. */
export interface Program {
  /** Writes a line to its standard input. */
  type(line: string): void;
  /** Waits until what it printed matches; throws an Error with all of it if it doesn't. */
  prints(pattern: RegExp): Promise<void>;
  end(): void;
  /** When it has ended. */
  result: Promise<CommandResult>;
}

/** As whom the examples ask. */
export const USER = { APP_USER: "admin", APP_PASS: "your_secure_password_here" };

/**
 * Starts an example of test/examples/container-management.
 * @param api.url where it asks
 * @param api.folder where it works, and its home
 * @param command such as `create.py` and arguments
 * @param env other than USER
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

/** Runs an example to its end; what it printed, trimmed. Throws an Error with what it said if it fails. */
export async function runProgram(...start: Parameters<typeof startProgram>): Promise<string> {
  const { code, stdout, stderr } = await startProgram(...start).result;
  if (code !== 0) throw new Error(`${start[1].join(" ")} exited with ${code}: ${stdout}\n${stderr}`);
  return stdout.trim();
}
