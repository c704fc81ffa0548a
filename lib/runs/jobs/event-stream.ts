import { isUtf8 } from "node:buffer";
import { PassThrough } from "node:stream";
import type { Frame } from "../../docker/containers/stream-frames";
import { asAppError, errorFields } from "../../errors";
import { type EventFormat, formatEvent } from "../../support/event-format";

export type { EventFormat };

/** Proxies usually close a connection after a minute without data, so a comment is sent after each of these intervals. */
const KEEPALIVE_INTERVAL_MS = 15_000;

/** A response body of events. A run's are `stdout` and `stderr` as the output arrives, and finally `result` or `error`. */
export class EventStream {
  readonly body = new PassThrough();
  private readonly decoders = { stdout: new Utf8Decoder(), stderr: new Utf8Decoder() };
  private readonly keepalive: NodeJS.Timeout | undefined;

  constructor(private readonly format: EventFormat) {
    this.body.on("error", () => undefined);
    if (format === "text/event-stream")
      this.keepalive = setInterval(() => this.body.writable && this.body.write(": it goes on\n\n"), KEEPALIVE_INTERVAL_MS);
    this.body.once("close", () => clearInterval(this.keepalive));
  }

  /** Sends a piece of output; returns like `send`. */
  sendFrame({ stream, data }: Frame): Promise<void> | undefined {
    const decoded = this.decoders[stream].push(data);
    return decoded && this.send(stream, decoded);
  }

  /** Sends the last event and ends the stream. */
  end(event: "result" | "error", data: object): void {
    for (const stream of ["stdout", "stderr"] as const) {
      const rest = this.decoders[stream].end();
      if (rest) void this.send(stream, rest);
    }
    void this.send(event, data);
    clearInterval(this.keepalive);
    this.body.end();
  }

  /** Ends the stream with an `error` event. */
  fail(error: unknown): void {
    this.end("error", errorFields(asAppError(error)));
  }

  /** Whether the client reads more slowly than events are sent. */
  get isFull(): boolean {
    return this.body.writableNeedDrain;
  }

  /** @returns a promise that resolves when the client has room for more; undefined if it has */
  send(event: string, data: object): Promise<void> | undefined {
    if (!this.body.writable) return undefined;
    if (this.body.write(formatEvent(this.format, event, data))) return undefined;
    return new Promise((resolve) => {
      const done = () => {
        this.body.off("drain", done).off("close", done);
        resolve();
      };
      this.body.once("drain", done).once("close", done);
    });
  }
}

/** The data of an output event. */
interface DecodedOutput {
  data: string;
  encoding?: "base64";
}

/** Decodes output as text, or as base64 where it isn't UTF-8. An incomplete character waits for its remaining bytes. */
class Utf8Decoder {
  private incomplete = Buffer.alloc(0);

  push(data: Buffer): DecodedOutput | undefined {
    const bytes = this.incomplete.length > 0 ? Buffer.concat([this.incomplete, data]) : data;
    const complete = bytes.subarray(0, bytes.length - incompleteLength(bytes));
    this.incomplete = Buffer.from(bytes.subarray(complete.length));
    return decode(complete);
  }

  end(): DecodedOutput | undefined {
    return decode(this.incomplete);
  }
}

function decode(bytes: Buffer): DecodedOutput | undefined {
  if (bytes.length === 0) return undefined;
  return isUtf8(bytes) ? { data: bytes.toString() } : { data: bytes.toString("base64"), encoding: "base64" };
}

/** Number of bytes at the end that begin a UTF-8 character without completing it. */
function incompleteLength(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] as number;
    if ((byte & 0xc0) === 0x80) continue;
    const characterLength = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return characterLength > back ? back : 0;
  }
  return 0;
}
