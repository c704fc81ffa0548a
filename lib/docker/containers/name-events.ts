import { ALIAS_LABEL } from "./container-summary";

/** The part of an engine's event that tells a name. */
interface ContainerEvent {
  Action?: string;
  Actor?: { Attributes?: Record<string, string> };
}

/** The events after which a container has a name that it did not have before. */
const NAMING_ACTIONS = new Set(["create", "rename"]);

/** Reads the engine's stream of events, one JSON object a line, for the names that containers get. */
export class NameEvents {
  private readonly decoder = new TextDecoder();
  private rest = "";

  /**
   * @param chunk the next bytes of the stream
   * @returns the names in the events that end in it; undefined stands for an event that can't be read, and for any name
   */
  read(chunk: Buffer): (string | undefined)[] {
    const lines = (this.rest + this.decoder.decode(chunk, { stream: true })).split("\n");
    this.rest = lines.pop() ?? "";
    return lines.flatMap(namesIn);
  }
}

function namesIn(line: string): (string | undefined)[] {
  if (line.trim() === "") return [];
  try {
    const { Action, Actor } = JSON.parse(line) as ContainerEvent;
    if (!NAMING_ACTIONS.has(Action ?? "")) return [];
    const { name, [ALIAS_LABEL]: alias } = Actor?.Attributes ?? {};
    return alias === undefined ? [name] : [name, alias];
  } catch {
    return [undefined];
  }
}
