import { AppError } from "../../errors";

/** No body of the Docker API nests deeper than some ten levels. */
const MAX_DEPTH = 64;
/** What begins a part of a JSON text that matters here: strings, numbers, brackets, and the commas that tell keys from values. */
const TOKEN_START = /"|-?\d[\d.eE+-]*|[{}[\],]/g;

/**
 * Parses JSON so that the engine could not read another value from it: keys that come twice, integers that lose digits, invalid UTF-8,
 * half surrogates and NUL characters are refused. Keys in another spelling are for the schema of the body to refuse, which knows all keys.
 * @throws AppError INVALID_BODY
 */
export function parseStrictJson(raw: Buffer): unknown {
  const text = decodeUtf8(raw);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalidBody(`The body is not JSON: ${(error as Error).message}`, error);
  }
  checkTokens(text);
  return value;
}

function decodeUtf8(raw: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(raw);
  } catch (error) {
    throw invalidBody("The body is not valid UTF-8", error);
  }
}

/** @param text valid JSON */
function checkTokens(text: string): void {
  const open: { keys: Set<string> | undefined; isKeyNext: boolean }[] = [];
  for (const token of tokensOf(text)) {
    const inner = open.at(-1);
    if (token === "{" || token === "[") {
      open.push({ keys: token === "{" ? new Set() : undefined, isKeyNext: token === "{" });
      if (open.length > MAX_DEPTH) throw invalidBody(`The body nests deeper than ${MAX_DEPTH} levels`);
    } else if (token === "}" || token === "]") open.pop();
    else if (token.startsWith('"')) {
      const string = checkedString(token);
      if (!inner?.isKeyNext) continue;
      if (inner.keys?.has(string))
        throw invalidBody(`The body has the key ${JSON.stringify(string.slice(0, 200))} twice`, undefined, string);
      inner.keys?.add(string);
      inner.isKeyNext = false;
    } else if (token === ",") {
      if (inner?.keys) inner.isKeyNext = true;
    } else checkNumber(token);
  }
}

/** @param text valid JSON */
function* tokensOf(text: string): Generator<string> {
  const pattern = new RegExp(TOKEN_START);
  for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
    if (match[0] === '"') pattern.lastIndex = stringEnd(text, match.index);
    yield text.slice(match.index, pattern.lastIndex);
  }
}

/** The index after the closing quote. A regular expression would overflow its stack on long texts. */
function stringEnd(text: string, start: number): number {
  for (let quote = text.indexOf('"', start + 1); ; quote = text.indexOf('"', quote + 1)) {
    let escapes = 0;
    while (text[quote - 1 - escapes] === "\\") escapes += 1;
    if (escapes % 2 === 0) return quote + 1;
  }
}

function checkedString(token: string): string {
  const string = JSON.parse(token) as string;
  if (string.includes("\0")) throw invalidBody("The body has a NUL character in a text");
  if (/\p{Surrogate}/u.test(string)) throw invalidBody("The body has half of a character in a text");
  return string;
}

function checkNumber(token: string): void {
  const number = Number(token);
  if (!Number.isFinite(number) || (Number.isInteger(number) && !Number.isSafeInteger(number)))
    throw invalidBody(`The body has a number that can't be kept exactly: ${token.slice(0, 40)}`);
}

function invalidBody(message: string, cause?: unknown, field?: string): AppError {
  return new AppError("INVALID_BODY", { message, cause, ...(field !== undefined && { details: { field: field.slice(0, 200) } }) });
}
