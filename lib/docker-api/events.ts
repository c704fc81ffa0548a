import type { IncomingMessage, ServerResponse } from "node:http";

/** An event waits this long for an earlier one of another node. */
const HOLD_MS = 50;

/**
 * Merges the events of several nodes to one stream, in the order of their time, each with its node among the attributes. Where a node's
 * stream ends too early or breaks, the merged one ends: clients then list anew, rather than miss events.
 * @param sources the streams of the nodes' engines
 * @param options.endsItself every stream ends by itself
 * @param options.isPast and has nothing but what has happened before: it is sorted as a whole
 */
export function mergeEvents(
  sources: { node: string; stream: IncomingMessage }[],
  response: ServerResponse,
  { endsItself, isPast }: { endsItself: boolean; isPast: boolean },
): void {
  let held: { time: bigint; text: string }[] = [];
  let timer: NodeJS.Timeout | undefined;
  let openCount = sources.length;
  const flush = () => {
    timer = undefined;
    held.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
    const text = held.map((each) => each.text).join("");
    held = [];
    if (text === "" || response.write(text)) return;
    for (const { stream } of sources) stream.pause();
    response.once("drain", () => {
      for (const { stream } of sources) stream.resume();
    });
  };
  const end = (broken: boolean) => {
    clearTimeout(timer);
    if (response.destroyed || response.writableEnded) return;
    flush();
    if (broken) response.destroy();
    else response.end();
    for (const { stream } of sources) stream.destroy();
  };
  for (const { node, stream } of sources) {
    readLines(stream, (line) => {
      held.push({ time: timeOf(line), text: `${withNode(line, node)}\n` });
      if (!isPast) timer ??= setTimeout(flush, HOLD_MS);
    });
    stream.once("end", () => {
      openCount -= 1;
      if (openCount === 0 || !endsItself) end(false);
    });
    stream.once("error", () => end(true));
  }
  response.once("close", () => {
    clearTimeout(timer);
    for (const { stream } of sources) stream.destroy();
  });
}

function readLines(stream: IncomingMessage, onLine: (line: string) => void): void {
  let rest = "";
  stream.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.trim() !== "") onLine(line);
  });
}

/** Nanoseconds don't fit a number. */
function timeOf(line: string): bigint {
  const [, nanoseconds] = /"timeNano":(\d+)/.exec(line) ?? [];
  return BigInt(nanoseconds ?? 0);
}

/** In the text itself: its numbers would lose digits as JSON. Inside of a string the quotes would be escaped. */
function withNode(line: string, node: string): string {
  return line.replace(/"Attributes":\{(\}?)/, (_, end: string) => `"Attributes":{"node":${JSON.stringify(node)}${end === "" ? "," : "}"}`);
}
