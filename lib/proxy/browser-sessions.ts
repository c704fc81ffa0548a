import type { Request, RequestHandler, Response } from "express";
import { refuseCrossSite } from "../auth/authenticate";
import type { Credentials } from "../auth/credentials";
import type { Signatures } from "../cluster/rpc/signatures";
import { readTarget } from "./proxy-path";

/** Name of the cookie by which a browser is let in, at the proxy's own port. */
export const COOKIE = "docker-server-proxy";

/** Seconds that a cookie is valid by the clock of the node that gave it: long enough that an hour's difference to another is no matter. */
const VALID = 12 * 3600;
const PURPOSE = "visit";

/**
 * Visits of browsers to containers: who has signed in to one gets a cookie that opens its path and nothing else, for as long as
 * what they signed in with is valid.
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
   * Lets in who brings a valid cookie; anyone else as `authenticate` does, and gives them one.
   * @param authenticate for those without
   */
  sessionAuth(authenticate: RequestHandler): RequestHandler {
    return (request, response, next) => {
      const prefix = readTarget(request.url)?.prefix;
      if (prefix === undefined) return authenticate(request, response, next);
      const caller = this.callerOf(request, prefix);
      if (caller !== undefined) {
        response.locals.identity = caller;
        response.locals.visit = true;
        // Pages that may use the API do so with a token of theirs, never with what a browser keeps.
        refuseCrossSite(request, []);
        return next();
      }
      // A browser presents what it was told for one realm to no other: pages of one container can't have it sign in to the next.
      response.locals.realm = `docker-server ${prefix}/`;
      return authenticate(request, response, (error) => {
        if (!error) this.give(request, response, prefix);
        next(error);
      });
    };
  }

  private give(request: Request, response: Response, prefix: string): void {
    const verdict = this.credentials.check(request.headers);
    if (typeof verdict === "string") return;
    const until = String(Math.floor(Date.now() / 1000) + VALID);
    const caller = Buffer.from(verdict.identity).toString("base64url");
    const signature = this.signatures.sign(PURPOSE, signed(prefix, until, caller, verdict.fingerprint));
    const secure = request.secure ? "; Secure" : "";
    response.append(
      "Set-Cookie",
      `${COOKIE}=${until}.${caller}.${signature}; Path=${prefix}/; Max-Age=${VALID}; HttpOnly; SameSite=Lax${secure}`,
    );
  }

  /** The identity of whoever signed in; undefined if there is no valid cookie. */
  private callerOf({ headers }: Request, prefix: string): string | undefined {
    // Pages may set others of the same name.
    for (const pair of headers.cookie?.split(";") ?? []) {
      const [name, value = ""] = pair.trim().split("=");
      if (name !== COOKIE) continue;
      const [until = "", caller = "", signature = ""] = value.split(".");
      const identity = Buffer.from(caller, "base64url").toString();
      const fingerprint = this.credentials.fingerprintOf(identity);
      if (fingerprint === undefined || !this.signatures.verify(PURPOSE, signed(prefix, until, caller, fingerprint), signature)) continue;
      if (Date.now() < Number(until) * 1000) return identity;
    }
    return undefined;
  }
}

/** With the fingerprint of what they signed in with: the cookie is worth nothing once that is no longer valid. */
function signed(prefix: string, until: string, caller: string, fingerprint: string): string {
  return [prefix, until, caller, fingerprint].join("\n");
}
