import { invalidField } from "../errors";

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/**
 * Decodes base64 (RFC 4648, section 4), in one line or several, as the `base64` command prints it. Node's own decoder ignores invalid
 * characters.
 * @param field named in the error
 * @throws AppError 400 for an invalid character, a wrong length, or unused bits that are not zero
 */
export function decodeBase64(text: string, field: string): Buffer {
  const line = text.includes("\n") ? text.replace(/\r?\n/g, "") : text;
  const isBase64 = BASE64.test(line);
  const invalidCharacter = isBase64 ? undefined : /[^A-Za-z0-9+/=]/.exec(line)?.[0];
  if (invalidCharacter !== undefined)
    throw invalidField(field, `must be base64, and ${JSON.stringify(invalidCharacter)} is none of its characters`);
  const bytes = Buffer.from(line, "base64");
  const end = bytes.subarray(bytes.length - (bytes.length % 3 || 3)).toString("base64");
  if (!isBase64 || line.length % 4 !== 0 || !line.endsWith(bytes.length === 0 ? "" : end)) {
    throw invalidField(field, "must be base64, and its end is wrong or missing");
  }
  return bytes;
}
