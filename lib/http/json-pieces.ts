/** Longer texts are turned into JSON piece by piece: JSON.stringify would hold up all other requests for up to seconds. */
const MAX_PIECE_LENGTH = 100_000;

/** Whether the JSON of a value is better made by `jsonPieces`: it has a text that is longer than a piece. */
export function hasLongText(value: unknown): boolean {
  if (typeof value === "string") return value.length > MAX_PIECE_LENGTH;
  return typeof value === "object" && value !== null && Object.values(value).some(hasLongText);
}

/** The JSON of a value, as JSON.stringify makes it, in pieces that take little time each. */
export function* jsonPieces(value: unknown): Generator<string> {
  if (!hasLongText(value)) return void (yield JSON.stringify(value) ?? "null");
  if (typeof value === "string") return void (yield* textPieces(value));
  const isList = Array.isArray(value);
  let separator = isList ? "[" : "{";
  for (const [key, item] of Object.entries(value as object)) {
    if (item === undefined && !isList) continue;
    yield isList ? separator : `${separator}${JSON.stringify(key)}:`;
    yield* jsonPieces(item);
    separator = ",";
  }
  yield isList ? "]" : "}";
}

function* textPieces(text: string): Generator<string> {
  yield '"';
  for (let start = 0, end = 0; start < text.length; start = end) {
    end = Math.min(text.length, start + MAX_PIECE_LENGTH);
    // The two halves of a character outside the basic plane stay together.
    if (end < text.length && /[\ud800-\udbff]/.test(text.charAt(end - 1))) end += 1;
    yield JSON.stringify(text.slice(start, end)).slice(1, -1);
  }
  yield '"';
}
