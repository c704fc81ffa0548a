import http from "node:http";
import https from "node:https";
import type { AddressInfo } from "node:net";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "../support/logger";
import { type CertificateSettings, readCertificates, watchCertificates } from "./certificates";
import { answerUnreadable } from "./client-errors";
import { cutSlowRequests } from "./slow-requests";
import { serveUpgrades, type Upgrades } from "./upgrades";

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
}

export interface Listener {
  answer: http.RequestListener;
  /** Whether it says itself when a client that waits for a `100 Continue` may go on. */
  expects(request: http.IncomingMessage): boolean;
}

export interface RunningServer {
  port: number;
  /** Takes no more connections, lets requests under way finish, and resolves when all are over or stop_timeout has passed. */
  stop: () => Promise<void>;
}

/** Longer than load balancers keep theirs (60 s), so that they never send a request into a connection that is just being closed. */
const KEEP_ALIVE = 65_000;
/** A client may have sent a request on an idle connection before it hears of the stop: it is waited for so long (ms). */
const IDLE_GRACE = 2000;
/** Other nodes leave their idle connections when their links are closed, which takes a moment (ms). */
const LEAVE_GRACE = 300;

/**
 * Listens, over HTTPS if it is set.
 * @param app answers the requests
 * @param upgrades takes connections that become something else
 * @throws Error if the port can't be had or the certificate can't be used: never plain HTTP instead
 */
export async function listen(app: Listener, settings: ServerSettings, log: Logger, upgrades: Upgrades): Promise<RunningServer> {
  const options = {
    keepAliveTimeout: KEEP_ALIVE,
    headersTimeout: settings.header_timeout * 1000,
    requestTimeout: 0,
    connectionsCheckingInterval: 1000,
  };
  let unwatch = () => {};
  let server: http.Server | https.Server;
  if (settings.https) {
    const secure = https.createServer({ ...options, ...readCertificates(settings) }, app.answer);
    unwatch = watchCertificates(settings, (context) => secure.setSecureContext(context), log);
    server = secure;
  } else {
    server = http.createServer(options, app.answer);
  }
  answerUnreadable(server);
  cutSlowRequests(server, settings.request_timeout * 1000);
  serveUpgrades(server, settings.https ? "secureConnection" : "connection", upgrades);
  server.on("checkContinue", (request: http.IncomingMessage, response: http.ServerResponse) => {
    if (!app.expects(request)) response.writeContinue();
    server.emit("request", request, response);
  });
  let stopping = false;
  server.prependListener("request", (_request: http.IncomingMessage, response: http.ServerResponse) => {
    if (stopping) response.setHeader("Connection", "close");
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port: settings.port, ...(settings.host ? { host: settings.host } : {}) }, resolve);
  });

  async function stop(): Promise<void> {
    stopping = true;
    unwatch();
    // http.Server.close would cut idle connections at once, and with them the requests that are on their way.
    const closed = new Promise<void>((resolve) => net.Server.prototype.close.call(server, () => resolve()));
    const end = performance.now() + settings.stop_timeout * 1000;
    await Promise.race([closed, sleep(Math.min(IDLE_GRACE, settings.stop_timeout * 1000))]);
    upgrades.close();
    await Promise.race([closed, sleep(LEAVE_GRACE)]);
    while (performance.now() < end && (await openConnections(server)) > 0) {
      server.closeIdleConnections();
      await Promise.race([closed, sleep(50)]);
    }
    server.closeAllConnections();
    await closed;
  }

  return { port: (server.address() as AddressInfo).port, stop };
}

function openConnections(server: net.Server): Promise<number> {
  return new Promise((resolve) => server.getConnections((_error, count) => resolve(count ?? 0)));
}
