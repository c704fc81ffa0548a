import type { Request, RequestHandler, Response } from "express";
import type { Credentials } from "../auth/credentials";
import { refuseCrossSite } from "../auth/cross-site";
import type { Signatures } from "../cluster/rpc/signatures";
import { parseProxyTarget } from "./proxy-path";

/** Name of the session cookie, which is set at the proxy's own port only. */
export const SESSION_COOKIE = "docker-server-proxy";

/** Lifetime of a cookie by the clock of the node that set it: long enough that a clock skew of an hour doesn't matter. */
const SESSION_SECONDS = 12 * 3600;
/** Part of the signature: nodes of other versions must verify it. */
const PURPOSE = "visit";

/**
 * Cookie sessions of browsers at the proxy's own port. A user who signs in to one container gets a cookie for its path and for
 * nothing else, valid until it expires or the credentials behind it stop being valid.
 */
export class BrowserSessions {
  /**
   * @param signatures of the cluster, or of this process
   * @param credentials the valid ones
   */
  constructor(
    private readonly signatures: Pick<Signatures, "sign" | "verify">,
    private readonly credentials: Pick<Credentials, "check" | "fingerprintOf">,
  ) {}

  /**
   * Accepts a request with a valid cookie. Any other request is authenticated as usual and gets a cookie then.
   * @param authenticate for requests without a valid cookie
   */
  sessionAuth(authenticate: RequestHandler): RequestHandler {
    return (request, response, next) => {
      const prefix = parseProxyTarget(request.url)?.prefix;
      if (prefix === undefined) return authenticate(request, response, next);
      const identity = this.identityFromCookie(request, prefix);
      if (identity !== undefined) {
        response.locals.identity = identity;
        response.locals.browserSession = true;
        // No origins are allowed: pages that may use the API present a token, not a browser's cookie.
        refuseCrossSite(request, []);
        return next();
      }
      // One realm per container: a browser sends stored Basic credentials only to the realm that they were entered for, so that
      // the pages of one container can't have it sign in to the next.
      response.locals.realm = `docker-server ${prefix}/`;
      return authenticate(request, response, (error) => {
        if (!error) this.setCookie(request, response, prefix);
        next(error);
      });
    };
  }

  private setCookie(request: Request, response: Response, prefix: string): void {
    const verdict = this.credentials.check(request.headers);
    if (typeof verdict === "string") return;
    const expiresAt = String(Math.floor(Date.now() / 1000) + SESSION_SECONDS);
    const caller = Buffer.from(verdict.identity).toString("base64url");
    const signature = this.signatures.sign(PURPOSE, signedText(prefix, expiresAt, caller, verdict.fingerprint));
    const secure = request.secure ? "; Secure" : "";
    response.append(
      "Set-Cookie",
      `${SESSION_COOKIE}=${expiresAt}.${caller}.${signature}; Path=${prefix}/; Max-Age=${SESSION_SECONDS}; HttpOnly; SameSite=Lax${secure}`,
    );
  }

  /** The identity of the user who signed in; undefined without a valid cookie. */
  private identityFromCookie({ headers }: Request, prefix: string): string | undefined {
    // All cookies of this name are tried: a container's page may have set others.
    for (const pair of headers.cookie?.split(";") ?? []) {
      const [name, value = ""] = pair.trim().split("=");
      if (name !== SESSION_COOKIE) continue;
      const [expiresAt = "", caller = "", signature = ""] = value.split(".");
      const identity = Buffer.from(caller, "base64url").toString();
      const fingerprint = this.credentials.fingerprintOf(identity);
      if (fingerprint === undefined) continue;
      if (!this.signatures.verify(PURPOSE, signedText(prefix, expiresAt, caller, fingerprint), signature)) continue;
      if (Date.now() < Number(expiresAt) * 1000) return identity;
    }
    return undefined;
  }
}

/** @param fingerprint of the credentials: a cookie is invalid once they are no longer valid */
function signedText(prefix: string, expiresAt: string, caller: string, fingerprint: string): string {
  return [prefix, expiresAt, caller, fingerprint].join("\n");
}
