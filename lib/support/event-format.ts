/** Content types of a stream of events. */
export type EventFormat = "text/event-stream" | "application/x-ndjson";

export const EVENT_FORMATS = ["text/event-stream", "application/x-ndjson"] as const;

/** Formats one event with its separator. */
export function formatEvent(format: EventFormat, event: string, data: object): string {
  return format === "text/event-stream" ? `event: ${event}\ndata: ${JSON.stringify(data)}\n\n` : `${JSON.stringify({ event, ...data })}\n`;
}

/** An event of another node's stream. */
export interface ParsedEvent {
  /** as received, with its separator */
  text: string;
  event: string;
  data: Record<string, unknown>;
}

/** Parses a stream of events as `formatEvent` writes them; comments are skipped. */
export async function* parseEvents(format: EventFormat, stream: AsyncIterable<Buffer>): AsyncGenerator<ParsedEvent> {
  const separator = format === "text/event-stream" ? "\n\n" : "\n";
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split(separator);
    rest = parts.pop() ?? "";
    for (const part of parts) {
      const [, name = "", json = ""] = format === "text/event-stream" ? (/^event: (.*)\ndata: (.*)$/.exec(part) ?? []) : [part, "", part];
      if (json === "") continue;
      const { event, ...data } = JSON.parse(json) as Record<string, unknown>;
      yield format === "text/event-stream"
        ? { text: part + separator, event: name, data: JSON.parse(json) as Record<string, unknown> }
        : { text: part + separator, event: String(event), data };
    }
  }
}

/** Bytes of a piece of a stream of many short texts: with a write for each, the overhead per write dominates. */
const PIECE_LENGTH = 65_536;

/** Joins short texts to pieces, for streams of which nobody waits for a single text. */
export async function* inPieces(texts: AsyncIterable<string>): AsyncGenerator<Buffer> {
  let piece = "";
  for await (const text of texts) {
    piece += text;
    if (piece.length < PIECE_LENGTH) continue;
    yield Buffer.from(piece);
    piece = "";
  }
  if (piece !== "") yield Buffer.from(piece);
}
