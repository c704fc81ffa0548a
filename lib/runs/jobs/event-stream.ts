import { isUtf8 } from "node:buffer";
import { PassThrough } from "node:stream";
import type { Frame } from "../../docker/containers/stream-frames";
import { asAppError, errorFields } from "../../errors";
import { type EventFormat, formatEvent } from "../../support/event-format";

export type { EventFormat };

/** A proxy that hears nothing for a minute cuts the connection: a comment is sent after so long (ms). */
const QUIET = 15_000;

/** Events as they go out: those of a run are `stdout` and `stderr` as they come; at the end `result`, or `error`. */
export class EventStream {
  readonly body = new PassThrough();
  private readonly decoders = { stdout: new Utf8Parts(), stderr: new Utf8Parts() };
  private readonly timer: NodeJS.Timeout | undefined;

  constructor(private readonly format: EventFormat) {
    this.body.on("error", () => undefined);
    if (format === "text/event-stream") this.timer = setInterval(() => this.body.writable && this.body.write(": it goes on\n\n"), QUIET);
    this.body.once("close", () => clearInterval(this.timer));
  }

  /** @returns resolves when the client has room for more; undefined if it has */
  sendFrame({ stream, data }: Frame): Promise<void> | undefined {
    const parts = this.decoders[stream].push(data);
    return parts && this.send(stream, parts);
  }

  /** Ends it. */
  end(event: "result" | "error", data: object): void {
    for (const stream of ["stdout", "stderr"] as const) {
      const rest = this.decoders[stream].rest();
      if (rest) void this.send(stream, rest);
    }
    void this.send(event, data);
    clearInterval(this.timer);
    this.body.end();
  }

  /** Ends it with what went wrong. */
  fail(error: unknown): void {
    this.end("error", errorFields(asAppError(error)));
  }

  /** Whether the client is behind with what was sent. */
  get isFull(): boolean {
    return this.body.writableNeedDrain;
  }

  /** @returns as `frame` */
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

interface Part {
  data: string;
  encoding?: "base64";
}

/** Output as text; what isn't UTF-8 as base64. A character that is cut in two waits for its other part. */
class Utf8Parts {
  private held = Buffer.alloc(0);

  push(data: Buffer): Part | undefined {
    const all = this.held.length > 0 ? Buffer.concat([this.held, data]) : data;
    const whole = all.subarray(0, all.length - incomplete(all));
    this.held = Buffer.from(all.subarray(whole.length));
    return part(whole);
  }

  rest(): Part | undefined {
    return part(this.held);
  }
}

function part(bytes: Buffer): Part | undefined {
  if (bytes.length === 0) return undefined;
  return isUtf8(bytes) ? { data: bytes.toString() } : { data: bytes.toString("base64"), encoding: "base64" };
}

/** Bytes at the end that are the beginning of a character. */
function incomplete(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] as number;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}
