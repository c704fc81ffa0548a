import { spawn } from "node:child_process";
import { once } from "node:events";
import type { DemoServer } from "./demo-stage";
import { answered, readable, typed } from "./demo-terminal";

export interface CurlAnswer {
  status: number;
  /** the body; with `-I` the headers */
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: answers of many shapes, whose fields are checked one by one
  json: any;
}

type Show = (answer: CurlAnswer) => string;

const TOKEN_HEADER = "X-Access-Token: $TOKEN";

/**
 * Shows and runs curl lines against one server. They stand there as a person types them, with $SERVER and $TOKEN; the token
 * goes to curl by its standard input, so that the list of processes doesn't show it.
 */
export class Curl {
  /** @param variable what stands for the server's address */
  constructor(
    private readonly server: DemoServer,
    private readonly variable = "$SERVER",
  ) {}

  /**
   * Asks the server with its token.
   * @param args as typed after `curl`, with $SERVER for its address
   * @param show what is printed of the answer, if not the body
   */
  ask(args: string[], show?: Show): Promise<CurlAnswer> {
    return this.run(["-H", TOKEN_HEADER, ...args], `X-Access-Token: ${this.server.token}`, show);
  }

  /** Asks without the token, and possibly somebody else. */
  askAnonymously(args: string[], show?: Show): Promise<CurlAnswer> {
    return this.run(args, "", show);
  }

  /** Like `ask`, for an answer that goes on: prints it as it comes, and returns what came until curl's own --max-time. */
  async follow(args: string[]): Promise<string> {
    const all = ["-H", TOKEN_HEADER, "--no-buffer", ...args];
    typed(lineOf(all));
    const { code, text } = await this.curl(all, `X-Access-Token: ${this.server.token}`, answered);
    if (code !== TIMED_OUT) throw new Error(`curl ended with ${code}, though the answer should have gone on`);
    return text;
  }

  private async run(args: string[], header: string, show: Show = whole): Promise<CurlAnswer> {
    typed(lineOf(args));
    const { code, text: all } = await this.curl([...args, "--write-out", "\n%{http_code}"], header);
    if (code !== 0) throw new Error(`curl ended with ${code}`);
    const end = all.lastIndexOf("\n");
    const text = all.slice(0, end).replaceAll("\r", "");
    const answer = { status: Number(all.slice(end + 1)), text, json: parsed(text) };
    answered(`HTTP ${answer.status}\n${show(answer)}`);
    return answer;
  }

  private async curl(args: string[], header: string, live?: (chunk: string) => void): Promise<{ code: number; text: string }> {
    const real = args.map((arg) => (arg === TOKEN_HEADER ? "@-" : arg.replace(this.variable, this.server.url)));
    // The addresses are this machine's own, whatever proxy it has for others.
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

const TIMED_OUT = 28;
const LONG = 100;

function whole({ text, json }: CurlAnswer): string {
  return json === undefined ? text : readable(json);
}

/** The line as a shell takes it. */
function lineOf(args: string[]): string {
  const line = ["curl", ...args].map(asWord).join(" ");
  return line.length > LONG ? line.replace(" -d ", " \\\n    -d ") : line;
}

function asWord(arg: string): string {
  if (/^[\w$%+,./:=@-]+$/.test(arg)) return arg;
  return arg.includes("$") ? `"${arg}"` : `'${arg.replaceAll("'", "'\\''")}'`;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
