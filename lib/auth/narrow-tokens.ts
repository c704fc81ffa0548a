import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import { Access } from "../access/access";
import { claimKey, deriveTokenKey, type TokenClaim, verifyToken } from "../access/token";
import { AppError } from "../errors";
import type { Logger } from "../support/logger";
import { TOKEN_PREFIX } from "../support/narrow-token";
import { readSettingsFile } from "../support/settings-error";
import { followFile } from "./follow-file";

/** An id, or a token, or its beginning. */
const REVOKED = new RegExp(`^(?:${TOKEN_PREFIX}|(?!${TOKEN_PREFIX}))([\\w-]{16})(?:\\.[\\w.-]+)?$`);
/** Longest delay of a timer; a later expiry is looked at again then. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** Verified tokens that are kept, and claims whose caveats are kept parsed. */
const MAX_CACHED = 200;

export interface RootSecretSettings {
  cluster_key: string[];
  token: string[];
  token_file: string | null;
  user: string | null;
  password: string | null;
}

/** The cluster keys, else the root tokens, else the user with the password; none if the tokens are in a file. */
export function rootSecrets({ cluster_key, token, token_file, user, password }: RootSecretSettings): string[] {
  if (cluster_key.length > 0) return cluster_key;
  if (token.length > 0) return token;
  return token_file === null && user !== null && password !== null ? [`${user}:${password}`] : [];
}

/** A request or a connection of a token, which ends with it. */
interface Use {
  access: Access;
  end: () => void;
}

/** The narrow tokens: verifies them, knows the revoked ones, and ends what they have begun. */
export class NarrowTokens {
  private revoked: ReadonlySet<string> = new Set();
  private readonly uses = new Map<string, Set<Use>>();
  /** By digest: the time of a lookup tells nothing about a token. */
  private readonly verified = new LRUCache<string, Access>({ max: MAX_CACHED });
  private readonly parsed = new LRUCache<string, Access>({ max: MAX_CACHED });

  /** The secrets of the settings: the first signs, tokens signed with any of them are valid. */
  private readonly secrets: readonly string[];
  private derivedKeys: readonly Buffer[] | undefined;

  constructor(settings: RootSecretSettings) {
    this.secrets = rootSecrets(settings);
  }

  /** The tokens of the token file are the secrets if there is no other. */
  setFileTokens(tokens: readonly string[]): void {
    if (this.secrets.length > 0) return;
    this.derivedKeys = tokens.map(deriveTokenKey);
    this.verified.clear();
  }

  /** Derived at the first narrow token: each takes some 50 ms, which a start without such tokens does not need. */
  private get keys(): readonly Buffer[] {
    this.derivedKeys ??= this.secrets.map(deriveTokenKey);
    return this.derivedKeys;
  }

  /** The key that new tokens are signed with. */
  get signingKey(): Buffer {
    const [key] = this.keys;
    if (!key) throw new AppError("INTERNAL", { cause: "there is no secret to sign with" });
    return key;
  }

  /**
   * Reads the file of revoked ids and follows its changes until the process ends.
   * @throws Error if the file can't be read
   */
  watchRevoked(file: string, log: Logger): void {
    const content = readSettingsFile("revoked", file);
    this.revoke(content, log);
    void followFile(file, content, (changed) => {
      if (typeof changed !== "string")
        return log.error("Revoked tokens not readable, those known stay revoked", { reason: changed.message });
      this.revoke(changed, log);
      log.info("Revoked tokens reloaded", { ids: this.revoked.size });
    });
  }

  /** @param content one id a line, or the token; what follows a # is a comment */
  private revoke(content: string, log: Logger): void {
    const lines = content.split("\n").map((line) => line.replace(/#.*/, "").trim());
    const ids = lines.map((line) => REVOKED.exec(line)?.[1]);
    this.revoked = new Set(ids.filter((id) => id !== undefined));
    const wrong = lines.flatMap((line, index) => (line !== "" && ids[index] === undefined ? [index + 1] : []));
    // A line may be a token: it is not told.
    if (wrong.length > 0) log.warn("Revoked tokens: lines that are no id of a narrow token revoke nothing", { lines: wrong });
    for (const id of this.revoked) for (const { end } of this.uses.get(id) ?? []) end();
  }

  /**
   * Verifies a token.
   * @returns what it permits; undefined if none of the keys has signed it
   * @throws AppError TOKEN_REFUSED if it is expired, revoked, or has a caveat that can't be obeyed
   */
  check(token: string): Access | undefined {
    const digest = createHash("sha256").update(token).digest("base64");
    const known = this.verified.get(digest);
    if (known) {
      known.assertLive();
      return known;
    }
    const claim = verifyToken(this.keys, token);
    if (!claim) return undefined;
    const access = this.accept(claim);
    this.verified.set(digest, access);
    return access;
  }

  /**
   * What a claim permits that this server or another node has signed.
   * @throws AppError TOKEN_REFUSED
   */
  accept(claim: TokenClaim): Access {
    const key = claimKey(claim);
    const access = this.parsed.get(key) ?? Access.of(claim, (id) => this.revoked.has(id));
    this.parsed.set(key, access);
    access.assertLive();
    return access;
  }

  /**
   * Calls `end` when the token expires or is revoked.
   * @returns must be called when there is nothing to end any more
   */
  endWith(access: Access, end: () => void): () => void {
    const { claim } = access;
    if (!claim) return () => undefined;
    const use: Use = { access, end };
    const uses = this.uses.get(claim.id) ?? new Set();
    this.uses.set(claim.id, uses.add(use));
    let timer: NodeJS.Timeout;
    const wait = () => {
      const remainingMs = (access.expires as number) * 1000 - Date.now();
      if (remainingMs <= 0) end();
      else timer = setTimeout(wait, Math.min(remainingMs, MAX_TIMER_MS)).unref();
    };
    wait();
    return () => {
      clearTimeout(timer);
      uses.delete(use);
      if (uses.size === 0 && this.uses.get(claim.id) === uses) this.uses.delete(claim.id);
    };
  }
}
