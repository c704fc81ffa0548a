import { AppError } from "../../errors";

// The grammar of distribution/reference: [host[:port]/]path[:tag][@digest].
const DOMAIN = String.raw`(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?))*|\[[a-fA-F0-9:]+\]`;
const PART = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
const REFERENCE = new RegExp(
  `^(?:(?:${DOMAIN})(?::[0-9]+)?/)?${PART}(?:/${PART})*(?::[\\w][\\w.-]{0,127})?(?:@(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}))?$`,
);
const MAX_NAME_LENGTH = 255;

/**
 * Whether a text is an image reference, such as `redis`, `host:5000/team/app:1.2` or `app@sha256:…`, or an image id. It can't begin with
 * a dash, so the CLI never reads it as a flag.
 */
export function isImageReference(text: string): boolean {
  const name = text.replace(/@.*$/s, "").replace(/:[\w.-]*$/, "");
  return name.length <= MAX_NAME_LENGTH && REFERENCE.test(text);
}

/**
 * Adds the tag `latest` to a reference without tag and digest, as Docker does.
 * @throws AppError INVALID_REFERENCE
 */
export function withDefaultTag(text: string): string {
  if (!isImageReference(text))
    throw new AppError("INVALID_REFERENCE", { message: `${JSON.stringify(text.slice(0, 300))} is not an image reference` });
  const last = text.slice(text.lastIndexOf("/") + 1);
  return last.includes(":") || last.includes("@") ? text : `${text}:latest`;
}
