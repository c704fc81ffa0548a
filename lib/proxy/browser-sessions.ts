import type { Request, RequestHandler, Response } from "express";
import { Access } from "../access/access";
import type { TokenClaim } from "../access/token";
import { type Credentials, identityOf } from "../auth/credentials";
import { forwardedProtocol, refuseCrossSite } from "../auth/cross-site";
import type { Signatures } from "../cluster/rpc/signatures";
import { type ProxyTarget, parseProxyTarget } from "./proxy-path";

/** Name of the session cookie, which is set at the proxy's own port only. */
export const SESSION_COOKIE = "docker-server-proxy";

/** Lifetime of a cookie by the clock of the node that set it. Browsers also send it to other ports of the host, so that it may be stolen. */
const SESSION_SECONDS = 2 * 3600;
/** Part of the signature: nodes of other versions must verify it. */
const PURPOSE = "visit";
/** Of a narrow token's cookie, which nodes that don't know narrow tokens refuse. */
const NARROW_PURPOSE = "narrow visit";

/** A user who has signed in. */
interface Session {
  identity: string;
  access: Access;
  /** full id of the container that the user signed in to */
  containerId: string;
}

/**
 * Cookie sessions of browsers at the proxy's own port. A user who signs in to one container gets a cookie for its path and for
 * nothing else, valid until it expires, the credentials behind it stop being valid, or another container has the name.
 */
export class BrowserSessions {
  /**
   * @param signatures of the cluster, or of this process
   * @param credentials the valid ones
   * @param findContainerId finds the full id of the container that a request is for; rejects if there is none
   * @param accept what a claim permits; throws AppError TOKEN_REFUSED if its token has ended
   */
  constructor(
    private readonly signatures: Pick<Signatures, "sign" | "verify">,
    private readonly credentials: Pick<Credentials, "check" | "fingerprintOf" | "liveRequests">,
    private readonly findContainerId: (target: ProxyTarget, access: Access) => Promise<string>,
    private readonly accept: (claim: TokenClaim) => Access,
  ) {}

  /**
   * Accepts a request with a valid cookie. Any other request is authenticated as usual and gets a cookie then.
   * @param authenticate for requests without a valid cookie
   * @param admit sets what the client may do, and ends its connection with its token
   */
  sessionAuth(authenticate: RequestHandler, admit: (access: Access, request: Request, response: Response) => void): RequestHandler {
    return async (request, response, next) => {
      const target = parseProxyTarget(request.url);
      if (target === undefined) return authenticate(request, response, next);
      const { prefix } = target;
      const session = await this.validSession(this.sessionsFromCookies(request, prefix), target);
      // The credentials may have been revoked during the lookup; of a narrow token `admit` looks.
      if (session !== undefined && (!session.access.isFull || this.credentials.fingerprintOf(session.identity) !== undefined)) {
        response.locals.identity = session.identity;
        admit(session.access, request, response);
        response.locals.browserSession = true;
        this.credentials.liveRequests.track(session.identity, response);
        // No origins are allowed: pages that may use the API present a token, not a browser's cookie.
        refuseCrossSite(request, []);
        return next();
      }
      // One realm per container: a browser sends stored Basic credentials only to the realm that they were entered for, so that
      // the pages of one container can't have it sign in to the next.
      response.locals.realm = `docker-server ${prefix}/`;
      return authenticate(request, response, (error) => {
        if (error) return next(error);
        this.setCookie(request, response, target).then(() => next(), next);
      });
    };
  }

  private async setCookie(request: Request, response: Response, target: ProxyTarget): Promise<void> {
    const verdict = this.credentials.check(request.headers);
    if (typeof verdict === "string") return;
    const { prefix } = target;
    const { access, fingerprint } = verdict;
    const containerId = await this.findContainerId(target, access);
    const expiresAt = String(Math.floor(Date.now() / 1000) + SESSION_SECONDS);
    // Of a narrow token the cookie has all it says: no node keeps it.
    const caller = Buffer.from(access.claim ? JSON.stringify(access.claim) : verdict.identity).toString("base64url");
    const purpose = access.isFull ? PURPOSE : NARROW_PURPOSE;
    const signature = this.signatures.sign(purpose, signedText({ prefix, containerId, expiresAt, caller, fingerprint }));
    const secure = request.secure || forwardedProtocol(request.headers) === "https" ? "; Secure" : "";
    response.append(
      "Set-Cookie",
      `${SESSION_COOKIE}=${expiresAt}.${caller}.${containerId}.${signature}; Path=${prefix}/; Max-Age=${SESSION_SECONDS}; HttpOnly; SameSite=Lax${secure}`,
    );
  }

  /** What a token permits; undefined if it has ended: its user may sign in with another. */
  private accessOf(claim: TokenClaim): Access | undefined {
    try {
      return this.accept(claim);
    } catch {
      return undefined;
    }
  }

  // Without a cookie that this cluster has signed nothing is looked up, and so nothing told about containers.
  private async validSession(sessions: Session[], target: ProxyTarget): Promise<Session | undefined> {
    for (const session of sessions) {
      if ((await this.findContainerId(target, session.access)) === session.containerId) return session;
    }
    return undefined;
  }

  /** The sessions of all valid cookies: a container's page may have set others of the name. */
  private sessionsFromCookies({ headers }: Request, prefix: string): Session[] {
    const pairs = headers.cookie?.split(";") ?? [];
    return pairs.flatMap((pair) => {
      const [name, value = ""] = pair.trim().split("=");
      if (name !== SESSION_COOKIE) return [];
      const [expiresAt = "", caller = "", containerId = "", signature = ""] = value.split(".");
      if (Date.now() >= Number(expiresAt) * 1000) return [];
      const identity = Buffer.from(caller, "base64url").toString();
      const narrowText = signedText({ prefix, containerId, expiresAt, caller, fingerprint: "" });
      if (this.signatures.verify(NARROW_PURPOSE, narrowText, signature)) {
        const access = this.accessOf(JSON.parse(identity) as TokenClaim);
        return access ? [{ identity: identityOf(access), access, containerId }] : [];
      }
      const fingerprint = this.credentials.fingerprintOf(identity);
      if (fingerprint === undefined) return [];
      const isSigned = this.signatures.verify(PURPOSE, signedText({ prefix, containerId, expiresAt, caller, fingerprint }), signature);
      return isSigned ? [{ identity, access: Access.full, containerId }] : [];
    });
  }
}

/** The parts of a cookie's signature. */
interface SignedParts {
  prefix: string;
  containerId: string;
  expiresAt: string;
  caller: string;
  /** of the credentials: a cookie is invalid once they are no longer valid */
  fingerprint: string;
}

function signedText({ prefix, containerId, expiresAt, caller, fingerprint }: SignedParts): string {
  return [prefix, containerId, expiresAt, caller, fingerprint].join("\n");
}
