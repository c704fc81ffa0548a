import http from "node:http";
import https from "node:https";
import type { AddressInfo } from "node:net";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "../support/logger";
import { type CertificateSettings, readCertificates, watchCertificates } from "./certificates";
import { answerClientErrors, timeOutSlowRequests } from "./client-errors";
import { listenAtPath } from "./unix-socket";
import { dispatchUpgrades, type UpgradeHandler, upgradeOptions } from "./upgrades";

export interface ServerSettings extends CertificateSettings {
  host: string | null;
  port: number;
  https: boolean;
  /** seconds */
  header_timeout: number;
  /** seconds */
  request_timeout: number;
  /** seconds */
  stop_timeout: number;
  /** Listens at this path rather than at a port. */
  socket?: { path: string; group: string | null };
  /** PEM: only clients with a certificate that this authority has signed may connect. */
  clientAuthority?: string;
}

export interface HttpHandler {
  handleRequest: http.RequestListener;
  /** Classes of its requests and responses; those of node:http if absent. */
  messageClasses?: Pick<http.ServerOptions, "IncomingMessage" | "ServerResponse">;
  /** Whether `handleRequest` itself answers a request's `Expect: 100-continue`. */
  handlesExpectContinue(request: http.IncomingMessage): boolean;
  /** Whether the body of a request may take any time. */
  takesAnyTime?(request: http.IncomingMessage): boolean;
}

export interface RunningServer {
  /** where it listens, also if the setting is 0; 0 of a socket */
  port: number;
  /** Refuses new connections, lets running requests finish, and resolves when all have or `stop_timeout` has passed. */
  stop: () => Promise<void>;
}

/** Longer than the 60 s of common load balancers: they must not send a request on a connection that is being closed. */
const KEEP_ALIVE_TIMEOUT_MS = 65_000;
/** After so long without a byte the kernel asks whether the client still exists: a machine that lost its power ends no connection. */
const TCP_KEEP_ALIVE_DELAY_MS = 30_000;
/** How long idle connections stay open at a stop: a client may have sent a request before it learns of the stop. */
const IDLE_GRACE_MS = 2000;
/** Time for other nodes to close their idle connections, which they do once their RPC connection closes (`PeerClient.closeIdleSockets`). */
const PEER_CLOSE_GRACE_MS = 300;

/**
 * Starts the HTTP server, or the HTTPS server if that is set.
 * @param upgrades takes over the connections of accepted upgrades
 * @throws Error if the port or the certificate can't be used; there is no fallback to plain HTTP
 */
export async function listen(
  handler: HttpHandler,
  settings: ServerSettings,
  log: Logger,
  upgrades: UpgradeHandler,
): Promise<RunningServer> {
  const options = {
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    headersTimeout: settings.header_timeout * 1000,
    requestTimeout: 0,
    connectionsCheckingInterval: 1000,
    keepAlive: true,
    keepAliveInitialDelay: TCP_KEEP_ALIVE_DELAY_MS,
    ...handler.messageClasses,
    ...upgradeOptions(upgrades),
  };
  const authority = settings.clientAuthority === undefined ? {} : { ca: settings.clientAuthority };
  const clients = settings.clientAuthority === undefined ? {} : { ...authority, requestCert: true, rejectUnauthorized: true };
  let stopWatching = () => {};
  let server: http.Server | https.Server;
  if (settings.https) {
    // Until its handshake is done, a connection is none of HTTP, and `headersTimeout` doesn't hold for it.
    const handshakes = { handshakeTimeout: options.headersTimeout };
    const secure = https.createServer({ ...options, ...handshakes, ...clients, ...readCertificates(settings) }, handler.handleRequest);
    // As with http.createServer, the output of a stream goes on after the end of its input. A connection without a handshake just ends.
    secure.on("secureConnection", (socket) => {
      socket.allowHalfOpen = true;
    });
    stopWatching = watchCertificates(settings, (context) => secure.setSecureContext({ ...context, ...authority }), log);
    server = secure;
  } else {
    server = http.createServer(options, handler.handleRequest);
  }
  answerClientErrors(server);
  timeOutSlowRequests(server, settings.request_timeout * 1000, (request) => handler.takesAnyTime?.(request) ?? false);
  dispatchUpgrades(server, settings.https ? "secureConnection" : "connection", upgrades);
  server.on("checkContinue", (request: http.IncomingMessage, response: http.ServerResponse) => {
    if (!handler.handlesExpectContinue(request)) response.writeContinue();
    server.emit("request", request, response);
  });
  let stopping = false;
  server.prependListener("request", (_request: http.IncomingMessage, response: http.ServerResponse) => {
    if (stopping) response.setHeader("Connection", "close");
  });
  if (settings.socket) await listenAtPath(server, settings.socket.path, settings.socket.group);
  else
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error: NodeJS.ErrnoException) => reject(error.code === "EADDRINUSE" ? portInUse(error, settings.port) : error));
      server.listen({ port: settings.port, ...(settings.host ? { host: settings.host } : {}) }, resolve);
    });

  async function stop(): Promise<void> {
    stopping = true;
    stopWatching();
    // http.Server.close would close idle connections at once, and drop requests that clients have just sent on them.
    const closed = new Promise<void>((resolve) => net.Server.prototype.close.call(server, () => resolve()));
    const deadline = performance.now() + settings.stop_timeout * 1000;
    await Promise.race([closed, sleep(Math.min(IDLE_GRACE_MS, settings.stop_timeout * 1000))]);
    upgrades.close();
    await Promise.race([closed, sleep(PEER_CLOSE_GRACE_MS)]);
    while (performance.now() < deadline && (await countConnections(server)) > 0) {
      server.closeIdleConnections();
      await Promise.race([closed, sleep(50)]);
    }
    server.closeAllConnections();
    await closed;
  }

  return { port: settings.socket ? 0 : (server.address() as AddressInfo).port, stop };
}

function portInUse(cause: Error, port: number): Error {
  return new Error(`Port ${port} is in use: another program, or another docker-server, listens at it (${cause.message})`, { cause });
}

function countConnections(server: net.Server): Promise<number> {
  return new Promise((resolve) => server.getConnections((_error, count) => resolve(count ?? 0)));
}
