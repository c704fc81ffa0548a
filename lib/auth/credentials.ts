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

/** Who a request comes from: `missing` and `wrong`, or the identity that the audit log and the rate limit know it by. */
export type Verdict = { identity: string; fingerprint: string } | "missing" | "wrong";

const FILE_CHECK_INTERVAL = 1000;

/** Knows the valid credentials, and compares in constant time. */
export class Credentials {
  private readonly key: Buffer;
  private fixed: { identity: string; digest: Buffer }[] = [];
  private fromFile: { identity: string; digest: Buffer }[] = [];

  /**
   * @param secret that all nodes of a cluster know: they call a client by the same name then
   * @throws Error if the token file can't be read or is empty
   */
  constructor(settings: CredentialSettings, log: Logger, secret?: string) {
    // The name stands in logs: made slowly, so that nobody finds a token by trying what would give it.
    this.key = secret === undefined ? randomBytes(32) : scryptSync(secret, "docker-server identities", 32);
    this.fixed = settings.token.map((token) => this.entry(token));
    if (settings.user !== null && settings.password !== null) {
      this.fixed.push({ identity: settings.user, digest: this.digest(`${settings.user}:${settings.password}`) });
    }
    const file = settings.token_file;
    if (file === null) return;
    const text = readFileSync(file, "utf8");
    this.fromFile = this.tokensIn(text, file);
    void this.follow(file, text, log);
  }

  // Not by its time: a change just after the first reading could go unseen, and so could one within the clock's grain.
  private async follow(file: string, text: string, log: Logger): Promise<never> {
    let before = text;
    for (;;) {
      await sleep(FILE_CHECK_INTERVAL, undefined, { ref: false });
      const found = await readFile(file, "utf8").catch((error: Error) => error);
      if (String(found) === before) continue;
      before = String(found);
      try {
        if (found instanceof Error) throw found;
        this.fromFile = this.tokensIn(found, file);
        log.info("the token file was read again", { tokens: this.fromFile.length });
      } catch (error) {
        log.error("the token file can't be read; the tokens read before stay valid", { reason: (error as Error).message });
      }
    }
  }

  private tokensIn(text: string, file: string) {
    const tokens = text
      .split("\n")
      .map((line) => line.trim())
      .filter(Boolean);
    if (tokens.length === 0) throw new Error(`${file} holds no token`);
    return tokens.map((token) => this.entry(token));
  }

  private entry(token: string) {
    const digest = this.digest(token);
    return { identity: `token-${digest.toString("hex").slice(0, 8)}`, digest };
  }

  // Digests under a key of ours are of one length and tell nothing about what they were made of.
  private digest(text: string): Buffer {
    return createHmac("sha256", this.key).update(text).digest();
  }

  /**
   * Looks at the credentials a request presents: `Basic base64(token)`, `Basic base64(user:password)`, `Bearer token` or `X-Access-Token: token`.
   * @param headers of the request
   */
  check(headers: IncomingHttpHeaders): Verdict {
    const presented = presentedSecret(headers);
    if (presented === undefined) return "missing";
    const digest = this.digest(presented);
    let match: string | undefined;
    // All are compared, whichever matches, so that time tells nothing.
    for (const entry of [...this.fixed, ...this.fromFile]) {
      if (timingSafeEqual(entry.digest, digest)) match = entry.identity;
    }
    return match === undefined ? "wrong" : { identity: match, fingerprint: digest.toString("base64") };
  }

  /** The fingerprint of the valid credentials that go by this name; undefined if there are none, or no longer. */
  fingerprintOf(identity: string): string | undefined {
    return [...this.fixed, ...this.fromFile].find((entry) => entry.identity === identity)?.digest.toString("base64");
  }

  /** A short name for what was presented, under which a later request can be known again. */
  fingerprint(headers: IncomingHttpHeaders): string {
    return this.digest(presentedSecret(headers) ?? "").toString("base64");
  }
}

function presentedSecret(headers: IncomingHttpHeaders): string | undefined {
  const access = headers["x-access-token"];
  if (typeof access === "string") return access;
  const [scheme, ...rest] = (headers.authorization ?? "").trim().split(/ +/);
  const value = rest.join(" ");
  if (!scheme) return undefined;
  if (scheme.toLowerCase() === "bearer") return value;
  if (scheme.toLowerCase() === "basic") return Buffer.from(value, "base64").toString();
  return `${scheme} ${value}`; // of no known scheme, but presented: wrong, not missing
}
