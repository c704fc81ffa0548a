const styled = process.stdout.isTTY && process.env.NO_COLOR === undefined;
const style = (code: number) => (text: string) => (styled ? `\x1b[${code}m${text}\x1b[0m` : text);
const bold = style(1);
const dim = style(2);
const green = style(32);

const WIDTH = 100;
const MOST_ITEMS = 3;

let closed = false;

/** Only last notes are printed from now on: the show is over, and what of it is still under way has nothing more to say. */
export function closeShow(): void {
  closed = true;
}

function print(text: string): void {
  if (!closed) process.stdout.write(text);
}

/** A heading, with a line that tells what happens and why. */
export function heading(title: string, why: string): void {
  print(`\n${bold(title)}\n${why}\n`);
}

/** A line about what the demo itself does. */
export function note(text: string): void {
  print(`${dim("·")} ${text}\n`);
}

/** A line about the tidying up, which comes after the show. */
export function lastNote(text: string): void {
  process.stdout.write(`${dim("·")} ${text}\n`);
}

/** A command as a person would type it. */
export function typed(command: string): void {
  print(`\n${green("$")} ${command}\n`);
}

/** What a command answered. */
export function answered(text: string): void {
  for (const line of text.trimEnd().split("\n")) print(`  ${line}\n`);
}

/** JSON for people: long ids cut, long lists too, and broken into lines where it is wide. */
export function readable(value: unknown, indent = ""): string {
  const flat = JSON.stringify(value, (_key, each) => shortened(each)).replaceAll(/(?<!\\)"(?:[^"\\]|\\.)*"|[:,]/g, (part) =>
    part.length === 1 ? `${part} ` : part,
  );
  if (flat.length + indent.length <= WIDTH || value === null || typeof value !== "object") return flat;
  const inner = `${indent}  `;
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const short = shortened(value) as object;
  const parts = Array.isArray(short)
    ? short.map((each) => readable(each, inner))
    : Object.entries(short).map(([key, each]) => `${JSON.stringify(key)}: ${readable(each, inner)}`);
  return `${open}\n${parts.map((part) => inner + part).join(",\n")}\n${indent}${close}`;
}

function shortened(value: unknown): unknown {
  if (typeof value === "string") return /^[0-9a-f]{64}$/.test(value) ? `${value.slice(0, 12)}…` : value;
  if (!Array.isArray(value) || value.length <= MOST_ITEMS) return value;
  return [...value.slice(0, MOST_ITEMS), `… and ${value.length - MOST_ITEMS} more`];
}
