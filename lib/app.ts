import { randomUUID } from "node:crypto";
import type { RequestListener } from "node:http";
import type { Settings } from "../config/settings";
import { version } from "../package.json";
import type { Access } from "./access/access";
import { DiskBudget } from "./archive/read-ahead";
import { authenticator } from "./auth/authenticate";
import { Credentials } from "./auth/credentials";
import { NarrowTokens } from "./auth/narrow-tokens";
import { Tickets } from "./auth/tickets";
import { openCluster } from "./cluster/cluster";
import { storeName } from "./cluster/membership/store/open-store";
import { singleNodeDispatch } from "./cluster/routing/single-node";
import { Signatures } from "./cluster/rpc/signatures";
import { readLoad } from "./cluster/scheduling/load";
import { readContainerNumbers } from "./docker/containers/container-numbers";
import { removeUnstartedContainers } from "./docker/create/sweep-unstarted";
import { openDocker } from "./docker/docker-host";
import { EngineDisk } from "./docker/engine-disk";
import { logEngine } from "./docker/engine-report";
import { NO_NEEDS } from "./docker-api/create-needs";
import { DockerApi } from "./docker-api/docker-api";
import { DockerListener } from "./docker-api/docker-listener";
import { parseDockerAddress } from "./docker-api/listen-address";
import { listenForDocker } from "./docker-api/listen-for-docker";
import { isDockerTarget } from "./docker-api/target";
import { hostFacts } from "./host-facts";
import { proxyCorsMiddleware } from "./http/cors";
import { errorHandler } from "./http/error-handler";
import { registerRoutes } from "./http/express-adapter";
import { createExpressApp } from "./http/express-app";
import { InProcessClient } from "./http/in-process";
import { Metrics } from "./http/metrics";
import { burstLimits, FailureLimit } from "./http/rate-limit";
import { RequestDeadlines } from "./http/request-deadlines";
import { requestLogger } from "./http/request-logger";
import type { Route } from "./http/route";
import { RouteUpgrades, upgradeMatcher } from "./http/route-upgrades";
import { shortWay } from "./http/short-way";
import { ManagedContainers } from "./managed/managed-containers";
import { openApiDocument } from "./openapi/document";
import { BrowserSessions } from "./proxy/browser-sessions";
import { ProxyListener } from "./proxy/proxy-listener";
import type { ProxyTarget } from "./proxy/proxy-path";
import { ReverseProxy } from "./proxy/reverse-proxy";
import { UpstreamResolver } from "./proxy/upstream-resolver";
import { auditRoutes } from "./routes/audit";
import { consoleRoutes } from "./routes/console";
import { containerExecRoutes } from "./routes/container-exec";
import { containerLifecycleRoutes } from "./routes/container-lifecycle";
import { containerListRoutes } from "./routes/container-list";
import { docsRoutes } from "./routes/docs";
import { fileRoutes } from "./routes/files";
import { imageRoutes } from "./routes/images";
import { logSearchRoutes } from "./routes/log-search";
import { managedRoutes } from "./routes/managed";
import { mcpRoutes } from "./routes/mcp";
import { nodeRoutes } from "./routes/nodes";
import { proxyOperations, proxyRoutes } from "./routes/proxy";
import { rootRoutes } from "./routes/root";
import { runRoutes } from "./routes/runs";
import { statusRoutes } from "./routes/status";
import { terminalRoutes } from "./routes/terminals";
import { tokenRoutes } from "./routes/tokens";
import { volumeRoutes } from "./routes/volumes";
import { createRunHost } from "./runs/run-host";
import { certificateEnd } from "./server/certificates";
import { type HttpHandler, listen, type RunningServer } from "./server/listen";
import { firstAccepting } from "./server/upgrades";
import { Drain, shutDown } from "./shutdown";
import { lazyRequire } from "./support/lazy-require";
import type { Logs } from "./support/logger";
import { nodeAddress } from "./support/node-address";
import { Terminals } from "./terminal/terminals";

const MS_PER_HOUR = 3_600_000;

const loadSharedRateLimits = lazyRequire(() => require("./http/shared-rate-limit") as typeof import("./http/shared-rate-limit"));

/**
 * Composes the program from its parts and listens. It contains no logic of its own.
 * @param cliVariables environment of the docker CLI, besides what it needs itself
 * @throws Error if the settings can't be met: a port, certificate, store or engine address that can't be used
 */
export async function start(
  settings: Settings,
  { log, audit, readAudit, lostLines }: Logs,
  cliVariables: Record<string, string>,
): Promise<RunningServer> {
  const { url, nodeName } = nodeAddress(settings);
  const service = { name: "docker-server", version, host: nodeName };
  const dockerAddresses = settings.docker_listen.map(parseDockerAddress);
  const sockets = dockerAddresses.flatMap((each) => (each.kind === "socket" ? [each.path] : []));
  const docker = await openDocker({ ...settings, sockets, cliVariables }, nodeName, log);
  const runs = createRunHost(docker, settings, log);
  const managed = new ManagedContainers(docker, settings.default_user_uid, log);
  const facts = hostFacts(docker, runs, managed);
  const cluster = settings.cluster ? openCluster({ settings, nodeName, url, version, host: facts, log }) : undefined;
  if (cluster) {
    docker.names.askOthers = cluster.askName;
    docker.quotas.askOthers = (labels) => cluster.askUse({ ...labels });
  }
  const terminals = new Terminals(docker, log);
  const signatures = cluster?.signatures ?? new Signatures([randomUUID()]);
  const narrow = new NarrowTokens(settings);
  if (settings.revoked !== null) narrow.watchRevoked(settings.revoked, log);
  const tickets = new Tickets(signatures, (claim) => narrow.accept(claim));
  const countRuns = () => ({ running: runs.slots.inUse, waiting: runs.slots.waiting, warm: runs.code.warmCount });
  const disk = new EngineDisk(docker.engine);
  const metrics = new Metrics({
    readLoad,
    countRuns,
    countWarmPool: () => runs.code.warmPoolTotals,
    lostLogLines: lostLines,
    readDisk: () => disk.read(),
    certificateEnd: () => (settings.https ? certificateEnd(settings.https_cert) : undefined),
    cluster,
    readContainers: settings.container_metrics
      ? async () => readContainerNumbers(docker.engine, (await docker.containers.read()).containers)
      : undefined,
  });
  const deadlines = new RequestDeadlines();
  const drain = new Drain();
  const sharedLimits =
    settings.cluster && settings.redis !== null ? new (loadSharedRateLimits().SharedRateLimits)(settings.redis, log) : undefined;

  const downloadDisk = new DiskBudget(settings.upload_limit * 1_000_000);
  const routes: Route[] = [];
  const openApi = () => openApiDocument([...routes, ...proxyOperations], { title: service.name, version });
  const serviceInfo = () => ({ name: service.name, version, description: "Runs containers over HTTP; see /docs" });
  routes.push(
    ...rootRoutes({ docker, managed, settings, host: nodeName, serviceInfo }),
    ...runRoutes(runs, settings, nodeName),
    ...volumeRoutes(runs.volumes, nodeName),
    ...imageRoutes(docker, settings, nodeName),
    ...containerListRoutes(docker, settings, nodeName),
    ...containerLifecycleRoutes(docker, managed, nodeName),
    ...managedRoutes(docker, managed, settings, nodeName),
    ...containerExecRoutes(docker, settings, nodeName),
    ...fileRoutes(docker, settings, nodeName, downloadDisk, tickets),
    ...terminalRoutes(docker, terminals, tickets),
    ...proxyRoutes(docker, nodeName),
    ...statusRoutes(docker, managed, service, metrics, cluster, () => drain.active),
    ...(cluster ? nodeRoutes(cluster) : []),
    ...auditRoutes(readAudit, nodeName),
    ...logSearchRoutes(docker, nodeName),
    ...tokenRoutes(narrow, docker.quotas, () => [...routes, ...proxyOperations]),
    ...docsRoutes(openApi),
    ...consoleRoutes(),
  );

  const logRequest = requestLogger(audit, (...counted) => metrics.countRequest(...counted));
  const { app, messageClasses, stepsBefore } = createExpressApp(settings, logRequest);
  const inProcess = new InProcessClient((request, response) => handleApiRequest(request, response));
  routes.push(...mcpRoutes(() => [...routes, ...proxyOperations], inProcess, service));
  const credentials = Credentials.load(
    settings,
    log,
    settings.cluster ? (settings.cluster_key[0] ?? settings.token[0]) : undefined,
    narrow,
  );
  const { authenticate, admit } = authenticator(
    credentials,
    new FailureLimit(settings.low_burst),
    (method, target, header) => cluster?.verifyRequest(method, target, header),
    settings.cors_origin,
    tickets,
    narrow,
  );
  const limits = burstLimits(
    { low: settings.low_burst, mid: settings.mid_burst, high: settings.high_burst },
    sharedLimits && ((name) => sharedLimits.storeFor(name)),
  );
  const dispatch = cluster?.dispatch ?? singleNodeDispatch(nodeName, facts, settings.accept);
  const bodyLimitBytes = settings.body_limit * 1_000_000;
  const stepsByPath = registerRoutes(app, routes, {
    authenticate,
    limits,
    dispatch,
    deadlines,
    bodyLimitBytes,
    nodeName,
    confined: docker.confinement,
  });
  const handleError = errorHandler(log, { traces: settings.node_env === "development" });
  app.use(handleError);
  const handleRoutes = shortWay(
    app,
    new Map([...stepsByPath].map(([path, steps]) => [path, [...stepsBefore(path), ...steps]])),
    handleError,
  );

  const upstreams = new UpstreamResolver(docker, cluster?.pool, nodeName);
  const proxy = new ReverseProxy({
    upstreams,
    pool: cluster?.pool,
    responseTimeoutMs: settings.proxy_timeout * 1000,
    isOwnCredential: (headers) => credentials.isValid(headers),
  });
  const middleware = { app, requestLogger: logRequest, errorHandler: handleError, authenticate: authenticate({}) };
  const apiListener = new ProxyListener(proxy, { ...middleware, cors: proxyCorsMiddleware(settings.cors_origin), sandbox: true });
  const handleApiRequest = apiListener.listenerWithFallback(handleRoutes);
  const findContainerId = async (target: ProxyTarget, access: Access) =>
    (await upstreams.resolve(target, { fromPeer: false, exact: true, access })).containerId;
  const sessions = new BrowserSessions(signatures, credentials, findContainerId, (claim) => narrow.accept(claim));
  const sessionAuth = sessions.sessionAuth(middleware.authenticate, admit);
  const browserListener = new ProxyListener(proxy, {
    ...middleware,
    cors: proxyCorsMiddleware([]),
    authenticate: sessionAuth,
    sandbox: false,
  });
  const dockerApi = new DockerApi({
    docker,
    pool: cluster?.pool,
    nodeName,
    poolId: signatures.sign("docker api", "pool id"),
    limits,
    bodyLimitBytes,
    downloadDisk,
    dispatch,
    rankNodes: async ({ headers, access }) =>
      cluster ? cluster.rankNodes({ headers, access }, { name: "", needs: NO_NEEDS }) : [nodeName],
    deadlines,
  });
  const dockerDeps = { api: dockerApi, app, messageClasses, requestLogger: logRequest, authenticate: middleware.authenticate, log };
  const dockerListener = new DockerListener(dockerDeps, "credentials");
  const upgrades = [
    ...(cluster ? [cluster.rpcServer] : []),
    apiListener.upgrades,
    dockerListener.upgrades,
    new RouteUpgrades(upgradeMatcher(routes), app),
  ];

  // A node that listened before it knew its peers would answer for all nodes alone.
  await cluster?.discover();
  const browserServer =
    settings.proxy_port === null
      ? undefined
      : await listen(
          { ...handlerOf(browserListener, browserListener.notFoundListener), messageClasses },
          { ...settings, port: settings.proxy_port },
          log,
          browserListener.upgrades,
        );
  const dockerServers = await listenForDocker(dockerAddresses, dockerDeps, settings, log);
  const mainHandler = {
    ...handlerOf(apiListener, dockerListener.listenerWithFallback(handleRoutes)),
    messageClasses,
    takesAnyTime: ({ url = "" }: { url?: string | undefined }) => isDockerTarget(url),
  };
  const server = await listen(mainHandler, settings, log, firstAccepting(...upgrades));
  void docker.containers.watch();
  const sweeps = [docker.cliCheck.watch(), removeUnstartedContainers(docker, log), runs.startSweep(), managed.sweep()];
  if (settings.image_keep !== null) sweeps.push(docker.imagePruner.watch(settings.image_keep * MS_PER_HOUR));
  await cluster?.start();

  void logEngine(docker.engine, log);
  log.info("Server started", {
    version,
    node: nodeName,
    port: server.port,
    ...(browserServer ? { proxy_port: browserServer.port } : {}),
    log_dir: settings.log_dir,
    ...(cluster ? { store: storeName(settings), store_read: cluster.storeWasRead(), nodes: cluster.nodes() } : {}),
  });

  const servers = [server, ...(browserServer ? [browserServer] : []), ...dockerServers];
  const stop = () =>
    shutDown({
      cluster,
      drain,
      deadlines,
      servers,
      proxy,
      finishWork: () => Promise.all([docker.runner.whenIdle(), managed.whenIdle(), runs.close(), terminals.whenIdle()]),
      close() {
        cluster?.close();
        dockerApi.close();
        sharedLimits?.close();
        for (const stopSweep of sweeps) stopSweep();
        docker.containers.close();
      },
      stopTimeoutMs: settings.stop_timeout * 1000,
    });
  return { port: server.port, stop };
}

function handlerOf(listener: ProxyListener, fallback: RequestListener): HttpHandler {
  return { handleRequest: listener.listenerWithFallback(fallback), handlesExpectContinue: listener.handlesExpectContinue };
}
