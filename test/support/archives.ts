import { buffer } from "node:stream/consumers";
import { gunzipSync, gzipSync } from "node:zlib";
import { extract, type Header, pack } from "tar-stream";

/** Entries of an archive by name: a file's text, or a header that is written unchanged, valid or not. */
export type Entries = Record<string, string | Partial<Header>>;

/** A gzipped tar of exactly these entries, in this order. */
export async function tarGz(entries: Entries): Promise<Buffer> {
  return gzipSync(
    await tarOf(Object.entries(entries).map(([name, given]) => (typeof given === "string" ? { name, text: given } : { name, ...given }))),
  );
}

/** The same in base64. */
export const tarGz64 = async (entries: Entries) => (await tarGz(entries)).toString("base64");

/** A tar of exactly these entries, with unchanged names. */
export async function tarOf(entries: readonly (Partial<Header> & { name: string; text?: string })[]): Promise<Buffer> {
  const tar = pack();
  const whole = buffer(tar as never);
  for (const { text = "", ...header } of entries) {
    const isFile = header.type === undefined || header.type === "file";
    if (!isFile) {
      tar.entry(header);
      continue;
    }
    await new Promise<void>((resolve, reject) => {
      tar.entry({ ...header, size: Buffer.byteLength(text) }, text, (error) => (error ? reject(error) : resolve()));
    });
  }
  tar.finalize();
  return whole;
}

/** The entries of a gzipped tar by name, with the texts of its files; folders end in a slash. */
export async function untarGz(bytes: Buffer): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  const entries = extract();
  entries.end(gunzipSync(bytes));
  for await (const entry of entries) {
    const { name, type } = entry.header;
    found[type === "directory" && !name.endsWith("/") ? `${name}/` : name] = (await buffer(entry as never)).toString();
  }
  return found;
}

/** The same from base64. */
export const untarGz64 = (text: string) => untarGz(Buffer.from(text, "base64"));
