import { createHmac, randomBytes, scryptSync, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { Access } from "../access/access";
import type { Logger } from "../support/logger";
import { isNarrowToken, NO_ROOT_TOKEN } from "../support/narrow-token";
import { readSettingsFile } from "../support/settings-error";
import { followFile } from "./follow-file";
import { LiveRequests } from "./live-requests";
import type { NarrowTokens } from "./narrow-tokens";

export interface CredentialSettings {
  token: string[];
  token_file: string | null;
  user: string | null;
  password: string | null;
}

/**
 * Result of a check. The identity is the client's name in the audit log and for rate limits; it never reveals a token. Narrow tokens
 * have that of the id at the root of their chain.
 */
export type Verdict = { identity: string; fingerprint: string; access: Access } | "missing" | "wrong";

interface ValidCredential {
  identity: string;
  digest: Buffer;
}

/** Cost of deriving the identity of each token alone: some 10 ms, because a file may have many. */
const IDENTITY_COST = { N: 4096, r: 8, p: 1 };

/**
 * The tokens of a token file: one of each line that is neither blank nor a comment, which begins with #.
 * @throws Error if one is a narrow token
 */
export function tokensOf(content: string): string[] {
  const lines = content.split("\n").map((line) => line.trim());
  const tokens = lines.filter((line) => line !== "" && !line.startsWith("#"));
  if (tokens.some(isNarrowToken)) throw new Error(`A line of --token_file ${NO_ROOT_TOKEN}`);
  return tokens;
}

/** The valid credentials. Comparisons take constant time. */
export class Credentials {
  readonly liveRequests = new LiveRequests();
  private readonly key: Buffer;
  private readonly ownIdentities = new Map<string, string>();
  /** Identities of tokens that were in the file and are no longer. */
  private readonly revoked = new Set<string>();
  private readonly configured: ValidCredential[];
  private fromFile: ValidCredential[] = [];

  private constructor(
    settings: CredentialSettings,
    private readonly secret: string | undefined,
    private readonly narrow: NarrowTokens | undefined,
  ) {
    // Identities appear in logs: a slow key derivation keeps a reader from finding the token by trial.
    this.key = secret === undefined ? randomBytes(32) : scryptSync(secret, "docker-server identities", 32);
    this.configured = settings.token.map((token) => this.tokenCredential(token));
    if (settings.user !== null && settings.password !== null) {
      this.configured.push({ identity: settings.user, digest: this.digest(`${settings.user}:${settings.password}`) });
    }
  }

  /**
   * Reads the token file, if there is one, and follows its changes until the process ends.
   * @param secret known to all nodes of a cluster, so that they give a client the same identity; a node alone derives each identity
   *   from its token, so that it stays the same after a restart
   * @param narrow the narrow tokens; none is valid if absent
   * @throws Error if the token file can't be read or has no token
   */
  static load(settings: CredentialSettings, log: Logger, secret?: string, narrow?: NarrowTokens): Credentials {
    const credentials = new Credentials(settings, secret, narrow);
    const { token_file } = settings;
    if (token_file === null) return credentials;
    const content = readSettingsFile("token_file", token_file);
    credentials.fromFile = credentials.parseTokens(content);
    if (credentials.fromFile.length === 0) throw new Error(`--token_file ${token_file} holds no token`);
    void followFile(token_file, content, (changed) => {
      try {
        if (typeof changed !== "string") throw changed;
        credentials.replaceTokens(changed, log);
      } catch (error) {
        log.error("Token file not usable, previous tokens stay valid", { reason: (error as Error).message });
      }
    });
    return credentials;
  }

  private replaceTokens(content: string, log: Logger): void {
    const before = this.fromFile;
    this.fromFile = this.parseTokens(content);
    log.info("Token file reloaded", { tokens: this.fromFile.length });
    const valid = new Set([...this.configured, ...this.fromFile].map(({ identity }) => identity));
    for (const identity of valid) this.revoked.delete(identity);
    for (const { identity } of before) {
      if (valid.has(identity)) continue;
      this.revoked.add(identity);
      log.info("Token revoked", { identity, ended_requests: this.liveRequests.end(identity) });
    }
  }

  private parseTokens(content: string): ValidCredential[] {
    const tokens = tokensOf(content);
    this.narrow?.setFileTokens(tokens);
    return tokens.map((token) => this.tokenCredential(token));
  }

  private tokenCredential(token: string): ValidCredential {
    const digest = this.digest(token);
    return {
      identity: `token-${this.secret === undefined ? this.ownIdentity(token, digest) : digest.toString("hex").slice(0, 8)}`,
      digest,
    };
  }

  private ownIdentity(token: string, digest: Buffer): string {
    const key = digest.toString("base64");
    const identity = this.ownIdentities.get(key) ?? scryptSync(token, "docker-server identities", 4, IDENTITY_COST).toString("hex");
    this.ownIdentities.set(key, identity);
    return identity;
  }

  // timingSafeEqual needs equal lengths; the key keeps others from computing a digest of their own.
  private digest(text: string): Buffer {
    return createHmac("sha256", this.key).update(text).digest();
  }

  /**
   * Checks the credentials of a request: `Basic base64(token)`, `Basic base64(user:password)`, `Basic base64(anything:token)`,
   * `Bearer token`, `X-Access-Token: token` or `X-API-Key: token`.
   * @throws AppError TOKEN_REFUSED for a narrow token that is expired, revoked, or can't be obeyed
   */
  check(headers: IncomingHttpHeaders): Verdict {
    const secret = presentedSecret(headers);
    if (secret === undefined) return "missing";
    const verdict = this.checkSecret(secret);
    const password = verdict === "wrong" ? basicPassword(headers) : undefined;
    return password === undefined ? verdict : this.checkSecret(password);
  }

  private checkSecret(secret: string): Verdict {
    const digest = this.digest(secret);
    let identity: string | undefined;
    // Constant time: the loop doesn't stop at a match.
    for (const credential of [...this.configured, ...this.fromFile]) {
      if (timingSafeEqual(credential.digest, digest)) identity = credential.identity;
    }
    if (identity !== undefined) return { identity, fingerprint: digest.toString("base64"), access: Access.full };
    const access = isNarrowToken(secret) ? this.narrow?.check(secret) : undefined;
    return access ? { identity: identityOf(access), fingerprint: "", access } : "wrong";
  }

  /** Whether these are, or were, credentials of this server: a container must not see them. */
  isValid(headers: IncomingHttpHeaders): boolean {
    try {
      return typeof this.check(headers) === "object";
    } catch {
      return true; // a narrow token that has ended
    }
  }

  /** The fingerprint of the valid credentials with this identity; undefined if there are none. */
  fingerprintOf(identity: string): string | undefined {
    return [...this.configured, ...this.fromFile].find((credential) => credential.identity === identity)?.digest.toString("base64");
  }

  /** Whether the identity's token was removed from the token file. */
  isRevoked(identity: string): boolean {
    return this.revoked.has(identity);
  }
}

/** The identity of the holders of a narrow token. */
export function identityOf({ claim }: Access): string {
  return `ds1-${claim?.id}`;
}

/** Whether a request presents what begins as a narrow token does. */
export function presentsNarrowToken(headers: IncomingHttpHeaders): boolean {
  return [presentedSecret(headers), basicPassword(headers)].some((secret) => secret !== undefined && isNarrowToken(secret));
}

/** The password of a Basic header; undefined if there is none. */
function basicPassword(headers: IncomingHttpHeaders): string | undefined {
  if (headers["x-access-token"] !== undefined) return undefined;
  const [, value] = /^basic +(.*)$/i.exec((headers.authorization ?? "").trim()) ?? [];
  const [, password] = /^[^:]*:(.+)$/s.exec(Buffer.from(value ?? "", "base64").toString()) ?? [];
  return password;
}

function presentedSecret(headers: IncomingHttpHeaders): string | undefined {
  const accessToken = headers["x-access-token"];
  if (typeof accessToken === "string") return accessToken;
  const [scheme, ...rest] = (headers.authorization ?? "").trim().split(/ +/);
  const value = rest.join(" ");
  const apiKey = headers["x-api-key"];
  if (!scheme) return typeof apiKey === "string" ? apiKey : undefined;
  if (scheme.toLowerCase() === "bearer") return value;
  if (scheme.toLowerCase() === "basic") return Buffer.from(value, "base64").toString();
  return `${scheme} ${value}`; // an unknown scheme makes the credentials wrong, not missing
}
