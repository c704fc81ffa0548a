import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";

export type Body = object | string | Buffer | AsyncIterable<Buffer>;

/** An answer to a request that isn't simply an object with status 200. */
export class Reply {
  constructor(
    readonly status: number,
    /** objects go out as JSON, text as text/plain unless a header says otherwise, what is iterated is streamed */
    readonly body: Body | null,
    readonly headers: Record<string, string> = {},
  ) {}
}

/** What a header can carry of a text: one line of ASCII. */
export function headerText(text: string): string {
  return text.replace(/[^\x20-\x7e]+/g, " ").slice(0, 500);
}

/** An answer that goes out as it comes: no proxy is to keep it back. */
export function streamed(type: string, body: AsyncIterable<Buffer>): Reply {
  return new Reply(200, body, { "Content-Type": `${type}; charset=utf-8`, "X-Accel-Buffering": "no", "Cache-Control": "no-cache" });
}

/** What is left of a request that offered an upgrade: its connection, and the bytes that came after its head. */
export interface Upgradable {
  request: IncomingMessage;
  socket: Duplex;
  head: Buffer;
}

/** An answer to such a request that takes its connection over, and writes the 101 itself. */
export class Upgraded extends Reply {
  constructor(readonly take: (connection: Upgradable) => void) {
    super(101, null);
  }
}
