import type { Request, RequestHandler, Response } from "express";
import type { Credentials } from "../auth/credentials";
import { forwardedProtocol, refuseCrossSite } from "../auth/cross-site";
import type { Signatures } from "../cluster/rpc/signatures";
import { type ProxyTarget, parseProxyTarget } from "./proxy-path";

/** Name of the session cookie, which is set at the proxy's own port only. */
export const SESSION_COOKIE = "docker-server-proxy";

/** Lifetime of a cookie by the clock of the node that set it. Browsers also send it to other ports of the host, so that it may be stolen. */
const SESSION_SECONDS = 2 * 3600;
/** Part of the signature: nodes of other versions must verify it. */
const PURPOSE = "visit";

interface Session {
  identity: string;
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
   */
  constructor(
    private readonly signatures: Pick<Signatures, "sign" | "verify">,
    private readonly credentials: Pick<Credentials, "check" | "fingerprintOf" | "liveRequests">,
    private readonly findContainerId: (target: ProxyTarget) => Promise<string>,
  ) {}

  /**
   * Accepts a request with a valid cookie. Any other request is authenticated as usual and gets a cookie then.
   * @param authenticate for requests without a valid cookie
   */
  sessionAuth(authenticate: RequestHandler): RequestHandler {
    return async (request, response, next) => {
      const target = parseProxyTarget(request.url);
      if (target === undefined) return authenticate(request, response, next);
      const { prefix } = target;
      const sessions = this.sessionsFromCookies(request, prefix);
      // Without a cookie that this cluster has signed nothing is looked up, and so nothing told about containers.
      const containerId = sessions.length > 0 ? await this.findContainerId(target) : undefined;
      const session = sessions.find((each) => each.containerId === containerId);
      // The credentials may have been revoked during the lookup.
      if (session !== undefined && this.credentials.fingerprintOf(session.identity) !== undefined) {
        response.locals.identity = session.identity;
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
    const containerId = await this.findContainerId(target);
    const expiresAt = String(Math.floor(Date.now() / 1000) + SESSION_SECONDS);
    const caller = Buffer.from(verdict.identity).toString("base64url");
    const signature = this.signatures.sign(
      PURPOSE,
      signedText({ prefix, containerId, expiresAt, caller, fingerprint: verdict.fingerprint }),
    );
    const secure = request.secure || forwardedProtocol(request.headers) === "https" ? "; Secure" : "";
    response.append(
      "Set-Cookie",
      `${SESSION_COOKIE}=${expiresAt}.${caller}.${containerId}.${signature}; Path=${prefix}/; Max-Age=${SESSION_SECONDS}; HttpOnly; SameSite=Lax${secure}`,
    );
  }

  /** The sessions of all valid cookies: a container's page may have set others of the name. */
  private sessionsFromCookies({ headers }: Request, prefix: string): Session[] {
    const pairs = headers.cookie?.split(";") ?? [];
    return pairs.flatMap((pair) => {
      const [name, value = ""] = pair.trim().split("=");
      if (name !== SESSION_COOKIE) return [];
      const [expiresAt = "", caller = "", containerId = "", signature = ""] = value.split(".");
      const identity = Buffer.from(caller, "base64url").toString();
      const fingerprint = this.credentials.fingerprintOf(identity);
      if (fingerprint === undefined || Date.now() >= Number(expiresAt) * 1000) return [];
      const isSigned = this.signatures.verify(PURPOSE, signedText({ prefix, containerId, expiresAt, caller, fingerprint }), signature);
      return isSigned ? [{ identity, containerId }] : [];
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
