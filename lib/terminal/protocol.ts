import { isUtf8 } from "node:buffer";
import { z } from "zod";
import { AppError, invalidField } from "../errors";
import { integer, text } from "../http/fields";
import { readInput } from "../http/input";
import { splitEndLength } from "../support/utf8";

const SIGNALS =
  "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS";

/** Columns or rows of a terminal. */
export const terminalDimension = integer(1, 10_000);

/** Schema of the messages that clients send (docs/terminals.md, "Messages"). */
const clientMessage = z.discriminatedUnion(
  "type",
  [
    z.object({
      type: z.literal("stdin"),
      data: z.string({ error: "must be text" }),
      encoding: z.enum(["utf8", "utf-8", "base64"], { error: "must be utf8 or base64" }).default("utf8"),
    }),
    z.object({ type: z.literal("resize"), cols: terminalDimension, rows: terminalDimension }),
    z.object({
      type: z.literal("signal"),
      name: text
        .transform((name) => name.toUpperCase().replace(/^SIG/, ""))
        .pipe(z.enum(SIGNALS.split(" "), { error: "must be the name of a signal, such as INT" })),
    }),
    z.object({ type: z.literal("close") }),
  ],
  { error: "must be stdin, resize, signal or close" },
);

export type ClientMessage =
  | { type: "stdin"; bytes: Buffer }
  | { type: "resize"; cols: number; rows: number }
  | { type: "signal"; name: string }
  | { type: "close" };

/** Messages that the server sends. */
export type ServerMessage =
  | { type: "stdout" | "stderr"; data: string; encoding: "utf8" | "base64" }
  | { type: "exit"; code: number }
  | { type: "error"; error: object };

/**
 * Parses a client's message.
 * @param frame payload of one frame
 * @param isBinary whether it was a binary frame, which is refused
 * @throws AppError INVALID_BODY, INVALID_INPUT naming the field
 */
export function readMessage(frame: Buffer, isBinary: boolean): ClientMessage {
  if (isBinary) throw new AppError("INVALID_BODY", { message: "Messages are text frames; bytes go as base64" });
  const message = readInput(clientMessage, parseJsonObject(frame));
  if (message.type !== "stdin") return message;
  const { data, encoding } = message;
  if (encoding !== "base64") return { type: "stdin", bytes: Buffer.from(data) };
  const bytes = Buffer.from(data, "base64");
  if (bytes.toString("base64").replace(/=+$/, "") === data.replace(/=+$/, "")) return { type: "stdin", bytes };
  throw invalidField("data", "must be base64");
}

function parseJsonObject(frame: Buffer): object {
  let value: unknown;
  try {
    value = JSON.parse(frame.toString());
  } catch {}
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw new AppError("INVALID_BODY", { message: "A message must be a JSON object" });
}

/** Turns an output stream into messages: text where the bytes are UTF-8, else base64. Holds back a character split between chunks. */
export class OutputMessages {
  /** beginning of an incomplete character */
  private rest: Buffer = Buffer.alloc(0);

  constructor(private readonly type: "stdout" | "stderr") {}

  /** @returns undefined if the chunk completes no character */
  push(chunk: Buffer): ServerMessage | undefined {
    const bytes = this.rest.length > 0 ? Buffer.concat([this.rest, chunk]) : chunk;
    const completeLength = bytes.length - splitEndLength(bytes);
    this.rest = Buffer.from(bytes.subarray(completeLength));
    return this.messageOf(bytes.subarray(0, completeLength));
  }

  /** The held-back bytes, after the end of the stream. */
  end(): ServerMessage | undefined {
    return this.messageOf(this.rest);
  }

  private messageOf(bytes: Buffer): ServerMessage | undefined {
    if (bytes.length === 0) return undefined;
    const encoding = isUtf8(bytes) ? "utf8" : "base64";
    return { type: this.type, data: bytes.toString(encoding), encoding };
  }
}
