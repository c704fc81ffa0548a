type Need = "cluster" | "https" | "s3" | "docker_listen" | "docker_tls_ca";

/** One row of the settings table. */
export interface Setting {
  type: "string" | "number" | "boolean" | "list";
  default: string | number | boolean | readonly string[] | null;
  /** Further environment variables besides DS_<NAME>. */
  env?: readonly string[];
  /** Further flag names. */
  aliases?: readonly string[];
  group: "Server" | "Access" | "Docker" | "Cluster" | "Runs" | "Logs";
  help: string;
  secret?: boolean;
  /** The settings without any of which it has no effect. */
  needs?: Need | readonly Need[];
  min?: number;
  max?: number;
  choices?: readonly string[];
  /** Returns why the value is invalid, or undefined. */
  check?: (value: string) => string | undefined;
}

/** The TypeScript type of a setting's value. */
export type ValueOf<S extends Setting> =
  | (S["type"] extends "number" ? number : S["type"] extends "boolean" ? boolean : S["type"] extends "list" ? string[] : string)
  | (S["default"] extends null ? null : never);

const TRUE = new Set(["1", "true", "yes", "on"]);
const FALSE = new Set(["", "0", "false", "no", "off"]);

/**
 * Parses the value of a flag, a variable or the config file.
 * @param setting the setting's row
 * @param raw text, or a value of the config file; for lists also an array of texts
 * @returns the value
 * @throws Error whose message says what the value must be
 */
export function parseValue(setting: Setting, raw: unknown): unknown {
  if (setting.type === "list") {
    const list = (Array.isArray(raw) ? raw.map(String) : [String(raw)]).flatMap((text) => splitList(setting, text));
    for (const item of list) checkText(setting, item);
    return list;
  }
  if (Array.isArray(raw)) throw new Error("must be given once");
  if (raw !== null && typeof raw === "object") throw new Error("must be a plain value");
  const text = String(raw).trim();
  if (setting.type === "boolean") {
    if (TRUE.has(text.toLowerCase())) return true;
    if (FALSE.has(text.toLowerCase())) return false;
    throw new Error("must be true or false");
  }
  if (setting.type === "number") return parseNumber(setting, text);
  checkText(setting, text);
  return text;
}

// A secret may contain a comma or a space: one variable is one token; repeat the flag, or use a file, for several.
function splitList(setting: Setting, text: string): string[] {
  return setting.secret ? [text] : text.split(/[\s,]+/).filter(Boolean);
}

function parseNumber(setting: Setting, text: string): number {
  const value = text === "" ? Number.NaN : Number(text);
  const low = setting.min ?? 0;
  const high = setting.max ?? Number.MAX_SAFE_INTEGER;
  if (value >= low && value <= high) return value;
  const range = setting.max === undefined ? `must be a number of at least ${low}` : `must be a number from ${low} to ${high}`;
  if (Number.isFinite(value)) throw new Error(`${range} (${setting.help})`);
  throw new Error(/^\d.*[a-z]$/i.test(text) ? `${range}, without a unit (${setting.help})` : range);
}

function checkText(setting: Setting, text: string): void {
  if (text === "") throw new Error("must not be empty");
  if (text.includes("\0")) throw new Error("must not hold a NUL character");
  if (setting.choices && !setting.choices.includes(text)) throw new Error(`must be one of ${setting.choices.join(", ")}`);
  const problem = setting.check?.(text);
  if (problem) throw new Error(problem);
}
