import type { IncomingHttpHeaders } from "node:http";
import WebSocket, { type ClientOptions } from "ws";
import { until } from "../../scripts/process";
import { TOKEN } from "./server";

const DEADLINE_MS = 20_000;

/** A terminal client and its received messages. */
export interface TestTerminal {
  socket: WebSocket;
  /** of the 101 response */
  headers: IncomingHttpHeaders;
  // biome-ignore lint/suspicious/noExplicitAny: messages of many shapes
  messages: any[];
  stdout(): string;
  stderr(): string;
  send(message: object): void;
  type(data: string): void;
  /** Waits until stdout matches; after 20 s throws an Error with all messages. */
  shows(pattern: RegExp): Promise<RegExpExecArray>;
  /** Waits up to 20 s for a message of the type. */
  // biome-ignore lint/suspicious/noExplicitAny: messages of many shapes
  gets(type: string): Promise<any>;
  /** Waits up to 20 s for the end of the connection; resolves to its close code. */
  closed(): Promise<number>;
}

export interface OpenOptions extends ClientOptions {
  /** no credentials */
  anonymous?: boolean;
  headers?: Record<string, string>;
}

/** Opens a terminal; `pathname` is such as `/ws/box?cols=80`. Rejects with `status body` of any other response than 101. */
export function openTerminal(url: string, pathname: string, options: OpenOptions = {}): Promise<TestTerminal> {
  const { anonymous, headers, ...rest } = options;
  const socket = new WebSocket(url.replace(/^http/, "ws") + pathname, {
    ...rest,
    headers: { ...(anonymous ? {} : { Authorization: `Bearer ${TOKEN}` }), ...headers },
  });
  // biome-ignore lint/suspicious/noExplicitAny: messages of many shapes
  const messages: any[] = [];
  let code: number | undefined;
  socket.on("message", (data) => messages.push(JSON.parse(String(data))));
  socket.on("close", (closed) => {
    code = closed;
  });
  const textOf = (type: string) =>
    messages
      .filter((message) => message.type === type)
      .map(({ data, encoding }) => (encoding === "base64" ? Buffer.from(data, "base64").toString("latin1") : data))
      .join("");
  const wait = async <T>(label: string, probe: () => T | undefined | null | false): Promise<T> => {
    if (await until(() => ![undefined, null, false].includes(probe() as undefined), DEADLINE_MS)) return probe() as T;
    throw new Error(`no ${label} in ${JSON.stringify(messages).slice(0, 3000)}, closed: ${code}`);
  };
  const terminal: TestTerminal = {
    socket,
    headers: {},
    messages,
    stdout: () => textOf("stdout"),
    stderr: () => textOf("stderr"),
    send: (message) => socket.send(JSON.stringify(message)),
    type: (data) => socket.send(JSON.stringify({ type: "stdin", data, encoding: "utf8" })),
    shows: (pattern) => wait(String(pattern), () => pattern.exec(textOf("stdout"))),
    gets: (type) => wait(type, () => messages.find((message) => message.type === type)),
    closed: () => wait("close", () => code),
  };
  return new Promise((resolve, reject) => {
    socket.once("upgrade", ({ headers: responseHeaders }) => {
      terminal.headers = responseHeaders;
    });
    socket.once("open", () => resolve(terminal));
    socket.on("error", reject);
    socket.once("unexpected-response", (_request, response) => {
      let body = "";
      response.on("data", (part) => {
        body += part;
      });
      response.on("end", () => reject(new Error(`${response.statusCode} ${body}`)));
    });
  });
}
