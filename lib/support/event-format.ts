/** How events go out, one after the other. */
export type EventFormat = "text/event-stream" | "application/x-ndjson";

export const EVENT_FORMATS = ["text/event-stream", "application/x-ndjson"] as const;

/** One event as text. */
export function eventText(format: EventFormat, event: string, data: object): string {
  return format === "text/event-stream" ? `event: ${event}\ndata: ${JSON.stringify(data)}\n\n` : `${JSON.stringify({ event, ...data })}\n`;
}

/** An event that another node has sent: as it came, and what it says. */
export interface SentEvent {
  text: string;
  event: string;
  data: Record<string, unknown>;
}

/** Takes a stream of events apart. Comments are left out. */
export async function* sentEvents(format: EventFormat, stream: AsyncIterable<Buffer>): AsyncGenerator<SentEvent> {
  const end = format === "text/event-stream" ? "\n\n" : "\n";
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split(end);
    rest = parts.pop() ?? "";
    for (const part of parts) {
      const [, name = "", json = ""] = format === "text/event-stream" ? (/^event: (.*)\ndata: (.*)$/.exec(part) ?? []) : [part, "", part];
      if (json === "") continue;
      const { event, ...data } = JSON.parse(json) as Record<string, unknown>;
      yield format === "text/event-stream"
        ? { text: part + end, event: name, data: JSON.parse(json) as Record<string, unknown> }
        : { text: part + end, event: String(event), data };
    }
  }
}
