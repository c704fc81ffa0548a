import { buffer } from "node:stream/consumers";
import { gunzipSync, gzipSync } from "node:zlib";
import { extract, type Header, pack } from "tar-stream";

/** What is to be in an archive: a text is a file's, otherwise the header as it is written, good or bad. */
export type Entries = Record<string, string | Partial<Header>>;

/** A gzipped tar of just these entries, in this order. */
export async function tarGz(entries: Entries): Promise<Buffer> {
  return gzipSync(
    await tarOf(Object.entries(entries).map(([name, given]) => (typeof given === "string" ? { name, text: given } : { name, ...given }))),
  );
}

/** The same in base64. */
export const tarGz64 = async (entries: Entries) => (await tarGz(entries)).toString("base64");

/** A tar of just these entries, names as they are. */
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

/** Names of a gzipped tar's entries, with the texts of its files; folders end in a slash. */
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

/** The same of base64. */
export const untarGz64 = (text: string) => untarGz(Buffer.from(text, "base64"));
