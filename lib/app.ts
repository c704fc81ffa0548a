import nodeCluster from "node:cluster";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import express from "express";
import helmet from "helmet";
import type { Settings } from "../config/settings";
import { version } from "../package.json";
import { authenticator } from "./auth/authenticate";
import { Credentials } from "./auth/credentials";
import { Tickets } from "./auth/tickets";
import { type HostFacts, openCluster } from "./cluster/cluster";
import { singleNodeDispatch } from "./cluster/routing/single-node";
import { Signatures } from "./cluster/rpc/signatures";
import { readLoad } from "./cluster/scheduling/load";
import { sweepHalfMade } from "./docker/create/sweep-unstarted";
import { type DockerHost, openDocker } from "./docker/docker-host";
import { corsMiddleware, proxyCorsMiddleware } from "./http/cors";
import { errorHandler } from "./http/error-handler";
import { registerRoutes } from "./http/express-adapter";
import { InProcessClient } from "./http/in-process";
import { Metrics } from "./http/metrics";
import { burstLimits, FailureLimit } from "./http/rate-limit";
import { RequestDeadlines } from "./http/request-deadlines";
import { requestLogger } from "./http/request-logger";
import type { Route } from "./http/route";
import { RouteUpgrades, upgradeMatcher } from "./http/route-upgrades";
import { COMPOSE_MISSING_HINT } from "./managed/compose";
import { ManagedContainers } from "./managed/managed-containers";
import { openApiDocument } from "./openapi/document";
import { BrowserSessions } from "./proxy/browser-sessions";
import { ProxyListener } from "./proxy/proxy-listener";
import { ReverseProxy } from "./proxy/reverse-proxy";
import { UpstreamResolver } from "./proxy/upstream-resolver";
import { containerExecRoutes } from "./routes/container-exec";
import { containerLifecycleRoutes } from "./routes/container-lifecycle";
import { containerListRoutes } from "./routes/container-list";
import { docsRoutes } from "./routes/docs";
import { fileRoutes } from "./routes/files";
import { imageRoutes } from "./routes/images";
import { managedRoutes } from "./routes/managed";
import { mcpRoutes } from "./routes/mcp";
import { nodeRoutes } from "./routes/nodes";
import { proxyOperations, proxyRoutes } from "./routes/proxy";
import { rootRoutes } from "./routes/root";
import { runRoutes } from "./routes/runs";
import { statusRoutes } from "./routes/status";
import { terminalRoutes } from "./routes/terminals";
import { volumeRoutes } from "./routes/volumes";
import { createRunHost, type RunHost } from "./runs/run-host";
import { listen, type RunningServer } from "./server/listen";
import { firstAccepting } from "./server/upgrades";
import { defaultRouteAddress } from "./support/default-route";
import { lazyRequire } from "./support/lazy-require";
import type { Logger, Logs } from "./support/logger";
import { settlesBefore } from "./support/settles-before";
import { Terminals } from "./terminal/terminals";

const loadSharedRateLimits = lazyRequire(() => require("./http/shared-rate-limit") as typeof import("./http/shared-rate-limit"));

/** So long (ms) a node that stops takes requests on, while a load balancer sees by /health that it should send it no more. */
const DRAIN = 1500;
/** At a stop most requests end by themselves; who still waits after so long (ms) is answered as when their time is over. */
const WAIT_AT_STOP = 5000;
/** What would go on for ever is ended after so long (ms). */
const STREAM_AT_STOP = 1500;

/**
 * Puts all rooms together and listens.
 * @param settings all of them
 * @throws Error if something can't be had that the settings ask for
 */
export async function start(settings: Settings, { log, audit }: Logs): Promise<RunningServer> {
  const url = settings.advertise ?? `${settings.https ? "https" : "http"}://${reachableAddress(settings.host)}:${settings.port}`;
  const host = settings.node_name ?? new URL(url).host;
  const service = { name: "docker-server", version, host };
  const docker = await openDocker(settings, host, log);
  const runs = createRunHost(docker, settings, log);
  const managed = new ManagedContainers(docker, settings.default_user_uid, log);
  const facts = hostFacts(docker, runs, managed);
  const cluster = settings.cluster ? openCluster(settings, host, url, version, facts, log) : undefined;
  const terminals = new Terminals(docker, log);
  const signatures = cluster?.signatures ?? new Signatures([randomUUID()]);
  const tickets = new Tickets(signatures);
  const metrics = new Metrics(readLoad, () => ({ running: runs.slots.inUse, waiting: runs.slots.waiting, warm: runs.code.warmCount }));
  const waits = new RequestDeadlines();
  let stopping = false;
  const counts = settings.cluster && settings.redis !== null ? openCounts(settings.redis, log) : undefined;

  const routes: Route[] = [];
  const openApi = () => openApiDocument([...routes, ...proxyOperations], { title: service.name, version });
  const serviceInfo = () => ({ name: service.name, version, description: "Runs containers over HTTP; see /docs" });
  routes.push(
    ...rootRoutes(docker, managed, settings, host, serviceInfo, cluster?.nameClaims),
    ...runRoutes(runs, settings, host),
    ...volumeRoutes(runs.volumes, host),
    ...imageRoutes(docker, settings, host),
    ...containerListRoutes(docker, settings, host, cluster?.nameClaims),
    ...containerLifecycleRoutes(docker, managed, host, cluster?.nameClaims),
    ...managedRoutes(docker, managed, settings, host, cluster?.nameClaims),
    ...containerExecRoutes(docker, settings, host),
    ...fileRoutes(docker, settings, host),
    ...terminalRoutes(docker, terminals, tickets),
    ...proxyRoutes(docker, host),
    ...statusRoutes(docker, managed, service, metrics, () => stopping),
    ...(cluster ? nodeRoutes(cluster) : []),
    ...docsRoutes(openApi),
  );

  const app = express();
  routes.push(...mcpRoutes(routes, new InProcessClient(app), service));
  app.disable("x-powered-by");
  app.disable("etag");
  app.set("query parser", "simple");
  if (settings.trust_proxy !== null)
    app.set("trust proxy", /^\d+$/.test(settings.trust_proxy) ? Number(settings.trust_proxy) : settings.trust_proxy);
  const observe = requestLogger(audit, (...counted) => metrics.countRequest(...counted));
  app.use(observe);
  app.use(
    helmet({
      contentSecurityPolicy: { directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] }, useDefaults: false },
      // What else the domain serves is not ours to decide.
      strictTransportSecurity: settings.https && { includeSubDomains: false },
    }),
  );
  if (settings.cors_origin.length > 0) app.use(corsMiddleware(settings.cors_origin));
  const credentials = Credentials.load(settings, log, settings.cluster ? (settings.cluster_key ?? settings.token[0]) : undefined);
  const authenticate = authenticator(
    credentials,
    new FailureLimit(settings.low_burst),
    (method, target, header) => cluster?.signatures.verifyRequest(header, { method, url: target, to: host }),
    settings.cors_origin,
    tickets,
  );
  registerRoutes(app, routes, {
    authenticate,
    limits: burstLimits(
      { low: settings.low_burst, mid: settings.mid_burst, high: settings.high_burst },
      counts && ((name) => counts.storeFor(name)),
    ),
    dispatch: cluster?.dispatch ?? singleNodeDispatch(host, facts),
    waits,
    bodyLimit: settings.body_limit * 1_000_000,
  });
  const answerError = errorHandler(log, { traces: settings.node_env === "development" });
  app.use(answerError);
  const gateway = new ReverseProxy({
    upstreams: new UpstreamResolver(docker, cluster?.pool),
    pool: cluster?.pool,
    responseTimeoutMs: settings.proxy_timeout * 1000,
    isOwnCredential: (authorization) => typeof credentials.check({ authorization }) === "object",
  });
  const steps = { app, requestLogger: observe, errorHandler: answerError, authenticate: authenticate({}) };
  const front = new ProxyListener(gateway, { ...steps, cors: proxyCorsMiddleware(settings.cors_origin), sandbox: true });
  const door = new BrowserSessions(signatures, credentials).sessionAuth(steps.authenticate);
  const pages = new ProxyListener(gateway, { ...steps, cors: proxyCorsMiddleware([]), authenticate: door, sandbox: false });

  await cluster?.discover();
  const listener = { handleRequest: front.listenerWithFallback(app), handlesExpectContinue: front.handlesExpectContinue };
  const takers = [...(cluster ? [cluster.rpcServer] : []), front.upgrades, new RouteUpgrades(upgradeMatcher(routes), app)];
  const { proxy_port } = settings;
  const pagesListener = { handleRequest: pages.listenerWithFallback(pages.notFoundListener), handlesExpectContinue: pages.handlesExpectContinue };
  const pagesServer = proxy_port === null ? undefined : await listen(pagesListener, { ...settings, port: proxy_port }, log, pages.upgrades);
  const server = await listen(listener, settings, log, firstAccepting(...takers));
  void docker.containers.watch();
  const endings = [sweepHalfMade(docker.containers, docker.runner, log), runs.startSweep(), managed.sweep()];
  await cluster?.start();
  return {
    port: server.port,
    async stop() {
      await cluster?.leave();
      // What is taken in by a parent process is turned away there; else the kernel resets what waits at the closed door.
      if (cluster && !nodeCluster.isWorker) {
        stopping = true;
        await sleep(Math.min(DRAIN, settings.stop_timeout * 1000));
      }
      const end = performance.now() + settings.stop_timeout * 1000;
      const endless = setTimeout(() => waits.stopUnbounded(), Math.min(STREAM_AT_STOP, settings.stop_timeout * 500));
      const cut = setTimeout(() => waits.stop(), Math.min(WAIT_AT_STOP, settings.stop_timeout * 500));
      await Promise.all([server.stop(), pagesServer?.stop()]);
      clearTimeout(endless);
      gateway.close();
      clearTimeout(cut);
      await settlesBefore(
        Promise.all([docker.runner.idle(), managed.idle(), runs.close(), terminals.idle()]),
        AbortSignal.timeout(Math.max(0, Math.ceil(end - performance.now()))),
      );
      cluster?.close();
      counts?.close();
      for (const endSweeping of endings) endSweeping();
      docker.containers.close();
    },
  };
}

function openCounts(redis: string, log: Logger) {
  const { SharedRateLimits } = loadSharedRateLimits();
  return new SharedRateLimits(redis, log);
}

/** This host's Docker, as the cluster asks about it. */
function hostFacts({ engine, containers, inventory }: DockerHost, { slots }: RunHost, { compose }: ManagedContainers): HostFacts {
  return {
    find: (id) => containers.holding(id),
    list: () => containers.read(),
    onChange: (tell) => containers.onChange(tell),
    holdsVolume: (name) => inventory.hasVolumes([name]),
    inventory: async (needs) => {
      const lacks = needs.compose && (await compose.version()) === null ? { lacks: COMPOSE_MISSING_HINT } : {};
      return { ...(await inventory.read(needs.image, needs.volumes)), ...lacks };
    },
    runs: () => ({ running: slots.inUse, waiting: slots.waiting }),
    async state() {
      const { containers: all } = await containers.read();
      const { Version } = await engine.call((docker) => docker.version());
      return { docker: Version, containers: all.length };
    },
  };
}

function reachableAddress(bound: string | null): string {
  return bound === null || bound === "0.0.0.0" || bound === "::" ? defaultRouteAddress() : bound;
}
