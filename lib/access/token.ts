import { createHmac, randomBytes, scryptSync, timingSafeEqual } from "node:crypto";
import { AppError, invalidField } from "../errors";
import { SIZE_PATTERN, toBytes } from "../support/byte-sizes";
import { TOKEN_PREFIX } from "../support/narrow-token";
import { type Caveats, caveatsSchema, EXPIRES_FORMS } from "./caveats";

/** Characters of a token: it must fit in a header, and in the signed header between nodes. */
const MAX_TOKEN_LENGTH = 4096;
/** Links of a chain. */
const MAX_LINKS = 16;
const ID_BYTES = 12;

/** What a token says: the id at the root of its chain, and the caveats of each link, as they are signed. Sent between nodes. */
export interface TokenClaim {
  id: string;
  /** each the base64url of a JSON object */
  links: string[];
}

/** Distinguishes claims: those of tokens with one id too. */
export const claimKey = ({ id, links }: TokenClaim) => [id, ...links].join(".");

/**
 * The key of tokens that a secret gives: the cluster key, or the root token.
 * Slow, because the holder of a token could find a weak secret by trial.
 */
export function deriveTokenKey(secret: string): Buffer {
  return scryptSync(secret, "docker-server tokens", 32);
}

/** `ds1_ID.LINK.LINK.SIGNATURE`: each link is signed with the signature of what is before it, the first with the key. */
const TOKEN = /^ds1_([A-Za-z0-9_-]{16})((?:\.[A-Za-z0-9_-]+)+)\.([A-Za-z0-9_-]{43})$/;

/** The part of a day that a unit of a duration is, in seconds. */
const SECONDS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };

/**
 * Validates caveats as people write them, whose `expires` may be a time from now, such as 12h, and not in the past, and whose `max.memory`
 * may be a size, such as 512m.
 * @throws AppError INVALID_INPUT that names the caveat
 */
export function readRequestedCaveats(value: unknown): Caveats {
  const { expires, max } = (value ?? {}) as { expires?: unknown; max?: { memory?: unknown } | null };
  const memory = max?.memory;
  const asNumbers = {
    ...(typeof expires === "string" && { expires: fromNow(expires) }),
    ...(typeof memory === "string" && SIZE_PATTERN.test(memory) && { max: { ...max, memory: Math.round(toBytes(memory)) } }),
  };
  const caveats = readCaveats(Object.keys(asNumbers).length === 0 ? value : { ...(value as object), ...asNumbers });
  if (caveats.expires !== undefined && caveats.expires * 1000 <= Date.now())
    throw invalidField("expires", `is in the past: it is ${EXPIRES_FORMS}`);
  return caveats;
}

/**
 * @param duration such as 12h
 * @returns seconds since 1970
 * @throws AppError INVALID_INPUT
 */
function fromNow(duration: string): number {
  const [, count = "", unit = ""] = /^(\d{1,6})([smhd])$/.exec(duration) ?? [];
  if (unit === "") throw invalidField("expires", `must be ${EXPIRES_FORMS}`);
  return Math.floor(Date.now() / 1000) + Number(count) * (SECONDS[unit] as number);
}

/**
 * The claim of a new token.
 * @param caveats of its first link; `expires` must be among them
 * @throws AppError INVALID_INPUT
 */
export function newClaim(caveats: Caveats, id = randomBytes(ID_BYTES).toString("base64url")): TokenClaim {
  if (caveats.expires === undefined) throw invalidField("expires", "is required");
  return { id, links: [encodeLink(caveats)] };
}

/** The claim with one more link. */
export function extendClaim({ id, links }: TokenClaim, caveats: Caveats): TokenClaim {
  return { id, links: [...links, encodeLink(caveats)] };
}

/**
 * Makes a token.
 * @param key that nodes verify tokens with
 * @param caveats of its first link; `expires` must be among them
 * @param id 16 letters or digits of base64url; random if absent
 * @throws AppError INVALID_INPUT
 */
export function makeToken(key: Buffer, caveats: Caveats, id?: string): string {
  return signClaim(key, newClaim(caveats, id));
}

/**
 * Adds a link to a token: the result permits what both permit. Needs no key.
 * @throws AppError INVALID_INPUT if this is no token, or the result would be too long
 */
export function narrowToken(token: string, caveats: Caveats): string {
  const parts = splitToken(token);
  if (!parts) throw invalidField("token", "must be a token that begins with ds1_");
  const { id, links, signature } = parts;
  const link = encodeLink(caveats);
  return joinToken({ id, links: [...links, link] }, mac(Buffer.from(signature, "base64url"), link));
}

/**
 * The token of a claim, as making and narrowing would have made it.
 * @throws AppError INVALID_INPUT if it would be too long
 */
export function signClaim(key: Buffer, claim: TokenClaim): string {
  return joinToken(claim, chainSignature(key, claim));
}

/**
 * Reads a token without verifying it.
 * @returns undefined if it isn't one
 */
export function readClaim(token: string): TokenClaim | undefined {
  const parts = splitToken(token);
  return parts && { id: parts.id, links: parts.links };
}

/**
 * Verifies a token.
 * @param keys that it may be signed with
 * @returns what it says; undefined if none of the keys has signed it
 */
export function verifyToken(keys: readonly Buffer[], token: string): TokenClaim | undefined {
  const parts = splitToken(token);
  if (!parts) return undefined;
  const { id, links } = parts;
  const given = Buffer.from(parts.signature);
  // Compared as text: base64url has more than one text for the same bytes.
  const valid = keys.map((key) => Buffer.from(chainSignature(key, { id, links }).toString("base64url")));
  return valid.some((signature) => timingSafeEqual(signature, given)) ? { id, links } : undefined;
}

/** @throws AppError INVALID_INPUT that names the caveat */
export function decodeLink(link: string): Caveats {
  const bytes = Buffer.from(link, "base64url");
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new AppError("INVALID_INPUT", { message: "A link of the token is no JSON", cause });
  }
  return readCaveats(value);
}

/**
 * Validates caveats.
 * @throws AppError INVALID_INPUT that names the caveat
 */
export function readCaveats(value: unknown): Caveats {
  const { success, data, error } = caveatsSchema.safeParse(value);
  if (success) return data;
  const [issue] = error.issues;
  if (issue?.code === "unrecognized_keys") {
    const [what, { shape }] = issue.path.length === 0 ? ["caveat", caveatsSchema] : ["quota", caveatsSchema.shape.max.unwrap()];
    throw invalidField([...issue.path, issue.keys[0]].join("."), `is no ${what}; known are ${Object.keys(shape).join(", ")}`);
  }
  if (issue?.code === "invalid_key") throw invalidField(issue.path.join("."), issue.issues[0]?.message ?? "is not valid");
  throw invalidField(issue?.path.join(".") || "caveats", issue?.message ?? "is not valid");
}

function encodeLink(caveats: Caveats): string {
  return Buffer.from(JSON.stringify(readCaveats(caveats))).toString("base64url");
}

function chainSignature(key: Buffer, { id, links }: TokenClaim): Buffer {
  return links.reduce(mac, mac(key, TOKEN_PREFIX + id));
}

function mac(key: Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}

function joinToken({ id, links }: TokenClaim, signature: Buffer): string {
  const token = `${TOKEN_PREFIX}${[id, ...links, signature.toString("base64url")].join(".")}`;
  if (!splitToken(token)) throw invalidField("token", `would have more than ${MAX_TOKEN_LENGTH} characters or ${MAX_LINKS} links`);
  return token;
}

function splitToken(token: string): (TokenClaim & { signature: string }) | undefined {
  if (token.length > MAX_TOKEN_LENGTH) return undefined;
  const [, id, middle = "", signature] = TOKEN.exec(token) ?? [];
  const links = middle.split(".").slice(1);
  return id === undefined || signature === undefined || links.length > MAX_LINKS ? undefined : { id, links, signature };
}
