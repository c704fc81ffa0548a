import { invalidField } from "../errors";

const FORM = /^[A-Za-z0-9+/]*={0,2}$/;

/**
 * Decodes base64 (RFC 4648, section 4), in lines or in one piece, as `base64` prints it. Node's own decoder skips what it doesn't know.
 * @param field to be named in the error
 * @throws AppError for any foreign character, a wrong length or bits that are left over
 */
export function decodeBase64(text: string, field: string): Buffer {
  const plain = text.includes("\n") ? text.replace(/\r?\n/g, "") : text;
  const foreign = FORM.test(plain) ? undefined : /[^A-Za-z0-9+/=]/.exec(plain)?.[0];
  if (foreign !== undefined) throw invalidField(field, `must be base64, and ${JSON.stringify(foreign)} is none of its characters`);
  const bytes = Buffer.from(plain, "base64");
  const end = bytes.subarray(bytes.length - (bytes.length % 3 || 3)).toString("base64");
  if (!FORM.test(plain) || plain.length % 4 !== 0 || !plain.endsWith(bytes.length === 0 ? "" : end)) {
    throw invalidField(field, "must be base64, and its end is wrong or missing");
  }
  return bytes;
}
