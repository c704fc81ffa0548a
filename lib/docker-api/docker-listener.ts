import type http from "node:http";
import { TLSSocket } from "node:tls";
import type { Express, Request, RequestHandler, Response } from "express";
import { Access } from "../access/access";
import { refuseCrossSite } from "../auth/cross-site";
import { AppError } from "../errors";
import { asExpress, type MessageClasses } from "../http/as-express";
import { RouteUpgrades } from "../http/route-upgrades";
import type { Logger } from "../support/logger";
import type { DockerApi } from "./docker-api";
import { answerDockerError } from "./errors";
import { isDockerTarget } from "./target";

/** Object identifier of the extended key usage "TLS client authentication" (RFC 5280, section 4.2.1.12). */
const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";

/** How clients of a listener show who they are: with this server's credentials, by a certificate, or by reaching the socket at all. */
export type DockerClients = "credentials" | "certificate" | "socket";

export interface DockerListenerDeps {
  api: DockerApi;
  app: Express;
  messageClasses: MessageClasses;
  requestLogger: RequestHandler;
  /** for clients with credentials */
  authenticate: RequestHandler;
  log: Logger;
}

/** Handles the requests of the Docker API in front of Express, with the same log and authentication, and with the engine's form of errors. */
export class DockerListener {
  /** Takes the streams of attach and exec, whose requests may have a body. */
  readonly upgrades: RouteUpgrades;

  /** @param isOwn tells which targets are the Docker API's; all of them on a listener of its own */
  constructor(
    private readonly deps: DockerListenerDeps,
    private readonly clients: DockerClients,
    private readonly isOwn: (url: string) => boolean = isDockerTarget,
  ) {
    const isStream = ({ url = "", headers }: http.IncomingMessage) =>
      this.isOwn(url) && /^(?:tcp|websocket)$/i.test(headers.upgrade ?? "") && /\/(?:attach|attach\/ws|start)(?:\?|$)/.test(url);
    this.upgrades = new RouteUpgrades(isStream, (request, response) => this.handle(request, response), true);
  }

  /** @param fallback handles requests that are not the Docker API's */
  listenerWithFallback(fallback: http.RequestListener): http.RequestListener {
    return (request, response) => {
      if (this.isOwn(request.url ?? "")) this.handle(request, response);
      else fallback(request, response);
    };
  }

  readonly handle: http.RequestListener = (plainRequest, plainResponse) => {
    const { api, app, requestLogger, log } = this.deps;
    const [request, response] = asExpress(app, plainRequest, plainResponse);
    const fail = (error: unknown) => answerDockerError(response, error, log);
    const answer = async () => {
      await this.authenticate(request, response);
      await api.handle(request, response, { limited: this.clients !== "socket" });
    };
    requestLogger(request, response, () => void answer().catch(fail));
  };

  private async authenticate(request: Request, response: Response): Promise<void> {
    if (this.clients === "credentials") {
      await new Promise<void>((resolve, reject) => {
        const settle = (error?: unknown) => (error ? reject(error) : resolve());
        Promise.resolve(this.deps.authenticate(request, response, settle)).catch(reject);
      });
      return;
    }
    response.locals.identity = this.clients === "socket" ? "docker-socket" : certificateName(request.socket);
    response.locals.access = Access.full;
    // A browser may have a client's certificate.
    refuseCrossSite(request, []);
  }
}

/** @throws AppError WRONG_CREDENTIALS for a certificate that was made for another use */
function certificateName(socket: unknown): string {
  const certificate = socket instanceof TLSSocket && socket.authorized ? socket.getPeerCertificate() : undefined;
  if (!certificate?.ext_key_usage?.includes(CLIENT_AUTH))
    throw new AppError("WRONG_CREDENTIALS", { message: "The certificate is not one for clients (clientAuth)" });
  const { CN } = certificate.subject;
  return `certificate-${Array.isArray(CN) ? CN.join(",") : (CN ?? certificate.fingerprint256)}`;
}
