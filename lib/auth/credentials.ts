import { createHmac, randomBytes, scryptSync, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { IncomingHttpHeaders } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "../support/logger";

export interface CredentialSettings {
  token: string[];
  token_file: string | null;
  user: string | null;
  password: string | null;
}

/** Result of a check. The identity is the client's name in the audit log and for rate limits; it never reveals a token. */
export type Verdict = { identity: string; fingerprint: string } | "missing" | "wrong";

interface ValidCredential {
  identity: string;
  digest: Buffer;
}

const TOKEN_FILE_POLL_MS = 1000;

/** The valid credentials. Comparisons take constant time. */
export class Credentials {
  private readonly key: Buffer;
  private readonly configured: ValidCredential[];
  private fromFile: ValidCredential[] = [];

  private constructor(settings: CredentialSettings, secret: string | undefined) {
    // Identities appear in logs: a slow key derivation keeps a reader from finding the token by trial.
    this.key = secret === undefined ? randomBytes(32) : scryptSync(secret, "docker-server identities", 32);
    this.configured = settings.token.map((token) => this.tokenCredential(token));
    if (settings.user !== null && settings.password !== null) {
      this.configured.push({ identity: settings.user, digest: this.digest(`${settings.user}:${settings.password}`) });
    }
  }

  /**
   * Reads the token file, if there is one, and follows its changes until the process ends.
   * @param secret known to all nodes of a cluster, so that they give a client the same identity
   * @throws Error if the token file can't be read or is empty
   */
  static load(settings: CredentialSettings, log: Logger, secret?: string): Credentials {
    const credentials = new Credentials(settings, secret);
    const { token_file } = settings;
    if (token_file === null) return credentials;
    const content = readFileSync(token_file, "utf8");
    credentials.fromFile = credentials.parseTokens(content, token_file);
    void credentials.watchTokenFile(token_file, content, log);
    return credentials;
  }

  // Compares contents: a modification time misses changes within one tick of the file system's clock, and those right after the first read.
  private async watchTokenFile(file: string, initialContent: string, log: Logger): Promise<never> {
    let previous = initialContent;
    for (;;) {
      await sleep(TOKEN_FILE_POLL_MS, undefined, { ref: false });
      const current = await readFile(file, "utf8").catch((error: Error) => error);
      if (String(current) === previous) continue;
      previous = String(current);
      try {
        if (current instanceof Error) throw current;
        this.fromFile = this.parseTokens(current, file);
        log.info("Token file reloaded", { tokens: this.fromFile.length });
      } catch (error) {
        log.error("Token file not readable, previous tokens stay valid", { reason: (error as Error).message });
      }
    }
  }

  private parseTokens(content: string, file: string): ValidCredential[] {
    const tokens = content
      .split("\n")
      .map((line) => line.trim())
      .filter(Boolean);
    if (tokens.length === 0) throw new Error(`${file} holds no token`);
    return tokens.map((token) => this.tokenCredential(token));
  }

  private tokenCredential(token: string): ValidCredential {
    const digest = this.digest(token);
    return { identity: `token-${digest.toString("hex").slice(0, 8)}`, digest };
  }

  // timingSafeEqual needs equal lengths; the key keeps others from computing a digest of their own.
  private digest(text: string): Buffer {
    return createHmac("sha256", this.key).update(text).digest();
  }

  /**
   * Checks the credentials of a request: `Basic base64(token)`, `Basic base64(user:password)`, `Bearer token` or
   * `X-Access-Token: token`.
   */
  check(headers: IncomingHttpHeaders): Verdict {
    const secret = presentedSecret(headers);
    if (secret === undefined) return "missing";
    const digest = this.digest(secret);
    let identity: string | undefined;
    // Constant time: the loop doesn't stop at a match.
    for (const credential of [...this.configured, ...this.fromFile]) {
      if (timingSafeEqual(credential.digest, digest)) identity = credential.identity;
    }
    return identity === undefined ? "wrong" : { identity, fingerprint: digest.toString("base64") };
  }

  /** The fingerprint of the valid credentials with this identity; undefined if there are none. */
  fingerprintOf(identity: string): string | undefined {
    return [...this.configured, ...this.fromFile].find((credential) => credential.identity === identity)?.digest.toString("base64");
  }

  /** A keyed digest of a request's credentials, valid or not, by which a later request with the same ones is recognized. */
  fingerprint(headers: IncomingHttpHeaders): string {
    return this.digest(presentedSecret(headers) ?? "").toString("base64");
  }
}

function presentedSecret(headers: IncomingHttpHeaders): string | undefined {
  const accessToken = headers["x-access-token"];
  if (typeof accessToken === "string") return accessToken;
  const [scheme, ...rest] = (headers.authorization ?? "").trim().split(/ +/);
  const value = rest.join(" ");
  if (!scheme) return undefined;
  if (scheme.toLowerCase() === "bearer") return value;
  if (scheme.toLowerCase() === "basic") return Buffer.from(value, "base64").toString();
  return `${scheme} ${value}`; // an unknown scheme makes the credentials wrong, not missing
}
