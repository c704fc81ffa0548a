import { IGNORED_IN_CREATE_QUERY } from "./bodies/image-queries";
import { NETWORK } from "./bodies/network-bodies";
import { VOLUME } from "./bodies/volume-body";
import { type ObjectKind, type Row, type RowWhere, row } from "./row";

const owner = (of: ObjectKind): RowWhere => ({ at: "owner", of });
const best: RowWhere = { at: "best" };
const holders: RowWhere = { at: "holders" };
const merge = (name: Extract<RowWhere, { at: "merge" }>["merge"]): RowWhere => ({ at: "merge", merge: name });
const special = (name: Extract<RowWhere, { at: "special" }>["name"]): RowWhere => ({ at: "special", name });
const refused = (status: number, message: string): RowWhere => ({ at: "refused", status, message });

const container = owner("container");
/** Of rows that are about one container: found only among those with the token's labels. */
const confined = { confined: "container" } as const;
/** The row touches no container, volume or network. */
const untouched = { confined: "untouched" } as const;
const changes = { ...confined, burst: "mid", changes: true } as const;

const ATTACH = "detachKeys logs stream stdin stdout stderr";
const BUILD =
  "dockerfile t extrahosts q nocache cachefrom pull rm forcerm memory memswap cpushares cpusetcpus cpusetmems cpuperiod cpuquota buildargs shmsize squash labels networkmode platform target ulimits version isolation cgroupparent securityopt remote buildid";

const NOT_A_MANAGER =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';
const NO_SWARM = "Swarm mode is not managed through this server: the nodes of its own pool take containers without it";
const NO_PLUGINS = "Plugins are not managed through this server";
export const NO_BUILDKIT = "BuildKit is not reached through this server: build with DOCKER_BUILDKIT=0";

const containerRows: Row[] = [
  row("GET /containers/json", merge("containers"), "read", {
    confined: "handler",
    query: "all limit size filters before since",
    // of docker-py
    ignored: ["trunc_cmd"],
  }),
  row("POST /containers/create", special("createContainer"), "run", {
    confined: "handler",
    burst: "low",
    body: "json",
    query: "name platform node",
    ignored: IGNORED_IN_CREATE_QUERY,
  }),
  row("POST /containers/prune", merge("prune"), "containers", { burst: "mid", query: "filters", changes: true }),
  row("GET /containers/:id/json", container, "read", { ...confined, query: "size", hides: "environment" }),
  row("GET /containers/:id/top", container, "read", { ...confined, query: "ps_args" }),
  row("GET /containers/:id/logs", container, "logs", {
    ...confined,
    burst: "none",
    query: "follow stdout stderr since until timestamps tail details",
  }),
  row("GET /containers/:id/changes", container, "read", confined),
  row("GET /containers/:id/export", container, "files", { ...confined, burst: "mid", check: "entry" }),
  row("GET /containers/:id/stats", container, "read", { ...confined, burst: "none", query: "stream one-shot" }),
  row("POST /containers/:id/resize", container, "exec", { ...confined, query: "h w" }),
  // It has no body: up to API 1.23 that was a HostConfig.
  row("POST /containers/:id/start", container, "containers", { ...changes, query: "detachKeys", check: "start" }),
  row("POST /containers/:id/stop", container, "containers", { ...changes, query: "t signal" }),
  row("POST /containers/:id/restart", container, "containers", { ...changes, query: "t signal", check: "start" }),
  row("POST /containers/:id/kill", container, "containers", { ...changes, query: "signal" }),
  row("POST /containers/:id/update", container, "containers", { ...changes, body: "json", judge: "update" }),
  row("POST /containers/:id/rename", container, "containers", { ...changes, query: "name", check: "rename" }),
  row("POST /containers/:id/pause", container, "containers", changes),
  row("POST /containers/:id/unpause", container, "containers", changes),
  row("POST /containers/:id/attach", container, "exec", { ...confined, burst: "none", query: ATTACH, check: "entry", hijack: true }),
  row("GET /containers/:id/attach/ws", container, "exec", { ...confined, burst: "none", query: ATTACH, check: "entry", hijack: true }),
  row("POST /containers/:id/wait", container, "read", { ...confined, burst: "none", query: "condition" }),
  row("DELETE /containers/:id", container, "containers", { ...changes, query: "v link force" }),
  // NAME/ALIAS; without link=true an engine would remove the container that the link leads to.
  row("DELETE /containers/*link", container, "containers", { burst: "mid", changes: true, query: "v link force", check: "link" }),
  row("HEAD /containers/:id/archive", container, "files", { ...confined, query: "path", check: "entry" }),
  row("GET /containers/:id/archive", container, "files", { ...confined, query: "path", check: "entry", readsAhead: true }),
  row("PUT /containers/:id/archive", container, "files", {
    ...confined,
    query: "path noOverwriteDirNonDir copyUIDGID",
    body: "stream",
    check: "entry",
  }),
  row("POST /containers/:id/exec", container, "exec", { ...confined, burst: "low", body: "json", judge: "exec", check: "entry" }),
  row("GET /exec/:id/json", owner("exec"), "exec", confined),
  row("POST /exec/:id/start", owner("exec"), "exec", { ...confined, burst: "none", body: "json", judge: "execStart", hijack: true }),
  row("POST /exec/:id/resize", owner("exec"), "exec", { ...confined, query: "h w" }),
  row("POST /commit", special("commit"), "images", {
    burst: "mid",
    body: "json",
    judge: "commit",
    query: "container repo tag comment author pause changes",
    repeatable: ["changes"],
  }),
];

const imageRows: Row[] = [
  row("GET /images/json", merge("images"), "read", {
    ...untouched,
    query: "all filters filter shared-size digests manifests",
    // of docker-py
    ignored: ["only_ids"],
  }),
  row("POST /images/create", best, "images", {
    ...untouched,
    burst: "low",
    body: "stream",
    query: "fromImage fromSrc repo tag message platform changes",
    repeatable: ["changes"],
  }),
  row("GET /images/search", best, "images", { ...untouched, query: "term limit filters" }),
  row("GET /images/get", special("save"), "images", { ...untouched, burst: "mid", query: "names platform", repeatable: ["names"] }),
  row("POST /images/load", best, "images", { ...untouched, burst: "low", body: "stream", query: "quiet platform" }),
  row("POST /images/prune", merge("prune"), "images", { burst: "mid", query: "filters" }),
  row("GET /images/*name/json", owner("image"), "read", { ...untouched, query: "manifests platform" }),
  row("GET /images/*name/history", owner("image"), "read", { ...untouched, query: "platform" }),
  row("GET /images/*name/get", owner("image"), "images", { ...untouched, burst: "mid", query: "platform" }),
  row("POST /images/*name/push", owner("image"), "images", { ...untouched, burst: "low", query: "tag platform" }),
  row("POST /images/*name/tag", holders, "images", {
    ...untouched,
    burst: "mid",
    changes: true,
    query: "repo tag",
    // of docker-py
    ignored: ["force"],
  }),
  row("DELETE /images/*name", holders, "images", { burst: "mid", changes: true, query: "force noprune platforms" }),
  row("GET /distribution/*name/json", best, "images", untouched),
  row("POST /auth", best, "images", { ...untouched, burst: "low", body: "stream" }),
  // Its commands run in containers.
  row("POST /build", best, "run", {
    burst: "low",
    body: "stream",
    query: BUILD,
    repeatable: ["t", "extrahosts"],
    firstCounts: ["dockerfile"],
  }),
  row("POST /build/prune", merge("prune"), "images", {
    burst: "mid",
    query: "all filters keep-storage reserved-space max-used-space min-free-space",
  }),
];

const networkRows: Row[] = [
  row("GET /networks", merge("networks"), "read", { confined: "handler", query: "filters" }),
  row("POST /networks/create", special("createNetwork"), "containers", {
    confined: "handler",
    burst: "mid",
    body: "json",
    query: "node",
    ignored: Object.keys(NETWORK),
  }),
  row("POST /networks/prune", merge("prune"), "containers", { burst: "mid", query: "filters" }),
  row("GET /networks/:id", owner("network"), "read", { confined: "handler", query: "verbose scope", hides: "others" }),
  row("POST /networks/:id/connect", special("connect"), "containers", { burst: "mid", changes: true, body: "json", judge: "connect" }),
  row("POST /networks/:id/disconnect", special("connect"), "containers", {
    burst: "mid",
    changes: true,
    body: "json",
    judge: "disconnect",
  }),
  row("DELETE /networks/:id", owner("network"), "containers", { confined: "handler", burst: "mid" }),
];

const volumeRows: Row[] = [
  row("GET /volumes", merge("volumes"), "read", { confined: "handler", query: "filters" }),
  row("POST /volumes/create", special("createVolume"), "volumes", {
    confined: "handler",
    burst: "mid",
    body: "json",
    query: "node",
    ignored: Object.keys(VOLUME),
  }),
  row("POST /volumes/prune", merge("prune"), "volumes", { burst: "mid", query: "filters" }),
  row("GET /volumes/:id", owner("volume"), "read", { confined: "volume" }),
  row("DELETE /volumes/:id", owner("volume"), "volumes", { confined: "volume", burst: "mid", query: "force" }),
];

const systemRows: Row[] = [
  row("GET /_ping", special("ping"), null, { burst: "none" }),
  row("HEAD /_ping", special("ping"), null, { burst: "none" }),
  row("GET /version", merge("version"), null, { burst: "none" }),
  row("GET /info", merge("info"), "read", { burst: "high" }),
  row("GET /system/df", merge("df"), "read", { query: "type" }),
  row("GET /events", special("events"), "read", { burst: "none", query: "since until filters" }),
  row("POST /session", refused(501, NO_BUILDKIT), null),
  row("POST /grpc", refused(501, NO_BUILDKIT), null),
  row("GET /plugins", special("plugins"), "read", { ...untouched, query: "filters" }),
  row("GET /plugins/*name/json", refused(404, "plugin not found"), null),
  ...["plugins", "plugins/*rest"].map((path) => row(`* /${path}`, refused(501, NO_PLUGINS), null)),
  ...["init", "join"].map((verb) => row(`POST /swarm/${verb}`, refused(503, NO_SWARM), null)),
  ...["swarm", "nodes", "services", "tasks", "secrets", "configs"].flatMap((name) =>
    [name, `${name}/*rest`].map((path) => row(`* /${path}`, refused(503, NOT_A_MANAGER), null)),
  ),
];

/** The Docker API of the pool, row by row (docs/docker-api.md). */
export const DOCKER_ROWS: readonly Row[] = [...containerRows, ...imageRows, ...networkRows, ...volumeRows, ...systemRows];
