import { spawn } from "node:child_process";
import { once } from "node:events";
import type { DemoServer } from "./demo-stage";
import { formatJson, printCommand, printOutput } from "./demo-terminal";

export interface CurlAnswer {
  status: number;
  /** The body; with `-I` the headers. */
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: answers of many shapes, whose fields are checked one by one
  json: any;
}

type Format = (answer: CurlAnswer) => string;

const TOKEN_HEADER = "X-Access-Token: $TOKEN";

/**
 * Prints and runs curl commands against one server. The printed command has $SERVER and $TOKEN for the real values. curl reads
 * the token from its standard input, so that the process list doesn't show it.
 */
export class Curl {
  /** @param variable placeholder for the server's address */
  constructor(
    private readonly server: DemoServer,
    private readonly variable = "$SERVER",
  ) {}

  /**
   * Sends a request with the server's token.
   * @param args of curl, with $SERVER for the server's address
   * @param format formats the response for printing; by default its body is printed
   */
  ask(args: string[], format?: Format): Promise<CurlAnswer> {
    return this.runCurl(["-H", TOKEN_HEADER, ...args], `X-Access-Token: ${this.server.token}`, format);
  }

  /** Sends a request without the token, to this or another server. */
  askAnonymously(args: string[], format?: Format): Promise<CurlAnswer> {
    return this.runCurl(args, "", format);
  }

  /** Like `ask`, for a stream: prints it as it arrives, and returns all of it when curl's --max-time ends it. */
  async follow(args: string[]): Promise<string> {
    const all = ["-H", TOKEN_HEADER, "--no-buffer", ...args];
    printCommand(commandLine(all));
    const { code, text } = await this.spawnCurl(all, `X-Access-Token: ${this.server.token}`, printOutput);
    if (code !== CURL_TIMED_OUT) throw new Error(`curl ended with ${code}, though the answer should have gone on`);
    return text;
  }

  private async runCurl(args: string[], header: string, format: Format = formatBody): Promise<CurlAnswer> {
    printCommand(commandLine(args));
    const { code, text: all } = await this.spawnCurl([...args, "--write-out", "\n%{http_code}"], header);
    if (code !== 0) throw new Error(`curl ended with ${code}`);
    const end = all.lastIndexOf("\n");
    const text = all.slice(0, end).replaceAll("\r", "");
    const answer = { status: Number(all.slice(end + 1)), text, json: parseJson(text) };
    printOutput(`HTTP ${answer.status}\n${format(answer)}`);
    return answer;
  }

  private async spawnCurl(args: string[], header: string, live?: (chunk: string) => void): Promise<{ code: number; text: string }> {
    const real = args.map((arg) => (arg === TOKEN_HEADER ? "@-" : arg.replace(this.variable, this.server.url)));
    // The addresses are local: curl must not use the proxy that the environment may name.
    const child = spawn("curl", ["--silent", "--show-error", "--noproxy", "*", ...real], {
      stdio: ["pipe", "pipe", live ? "ignore" : "inherit"],
    });
    child.stdin.on("error", () => undefined);
    child.stdin.end(header);
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      live?.(chunk);
    });
    const [code] = await once(child, "close");
    return { code: code as number, text };
  }
}

const CURL_TIMED_OUT = 28;
const WRAP_COLUMNS = 100;

function formatBody({ text, json }: CurlAnswer): string {
  return json === undefined ? text : formatJson(json);
}

/** The command as typed in a shell. */
function commandLine(args: string[]): string {
  const line = ["curl", ...args].map(shellQuoted).join(" ");
  return line.length > WRAP_COLUMNS ? line.replace(" -d ", " \\\n    -d ") : line;
}

function shellQuoted(arg: string): string {
  if (/^[\w$%+,./:=@-]+$/.test(arg)) return arg;
  return arg.includes("$") ? `"${arg}"` : `'${arg.replaceAll("'", "'\\''")}'`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
