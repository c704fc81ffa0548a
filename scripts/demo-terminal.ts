const styled = process.stdout.isTTY && process.env.NO_COLOR === undefined;
const style = (code: number) => (text: string) => (styled ? `\x1b[${code}m${text}\x1b[0m` : text);
const bold = style(1);
const dim = style(2);
const green = style(32);

const WIDTH_COLUMNS = 100;
const MAX_ITEMS = 3;

let silenced = false;

/** Suppresses all further output except cleanup notes: a part of the demo may still be running. */
export function silence(): void {
  silenced = true;
}

function print(text: string): void {
  if (!silenced) process.stdout.write(text);
}

/** Prints a heading, with a line that says what happens and why. */
export function heading(title: string, why: string): void {
  print(`\n${bold(title)}\n${why}\n`);
}

/** Prints a line about the demo itself. */
export function note(text: string): void {
  print(`${dim("·")} ${text}\n`);
}

/** Prints a line about the cleanup, also after `silence`. */
export function cleanupNote(text: string): void {
  process.stdout.write(`${dim("·")} ${text}\n`);
}

/** Prints a command as typed in a shell. */
export function printCommand(command: string): void {
  print(`\n${green("$")} ${command}\n`);
}

/** Prints the output of a command, indented. */
export function printOutput(text: string): void {
  for (const line of text.trimEnd().split("\n")) print(`  ${line}\n`);
}

/** Formats JSON for reading: shortens ids and long lists, and wraps where a line is wider than `WIDTH_COLUMNS`. */
export function formatJson(value: unknown, indent = ""): string {
  const flat = JSON.stringify(value, (_key, each) => shortened(each)).replaceAll(/(?<!\\)"(?:[^"\\]|\\.)*"|[:,]/g, (part) =>
    part.length === 1 ? `${part} ` : part,
  );
  if (flat.length + indent.length <= WIDTH_COLUMNS || value === null || typeof value !== "object") return flat;
  const inner = `${indent}  `;
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const short = shortened(value) as object;
  const parts = Array.isArray(short)
    ? short.map((each) => formatJson(each, inner))
    : Object.entries(short).map(([key, each]) => `${JSON.stringify(key)}: ${formatJson(each, inner)}`);
  return `${open}\n${parts.map((part) => inner + part).join(",\n")}\n${indent}${close}`;
}

function shortened(value: unknown): unknown {
  if (typeof value === "string") return /^[0-9a-f]{64}$/.test(value) ? `${value.slice(0, 12)}…` : value;
  if (!Array.isArray(value) || value.length <= MAX_ITEMS) return value;
  return [...value.slice(0, MAX_ITEMS), `… and ${value.length - MAX_ITEMS} more`];
}
